import { readFile } from "node:fs/promises"
import { defineConfig, type ViteUserConfig } from "vitest/config"

const wgslAsText = {
  name: "wgsl-as-text",
  async load(id: string) {
    if (!id.endsWith(".wgsl")) return undefined
    return `export default ${JSON.stringify(await readFile(id, "utf8"))}`
  },
}

// Three files at a time: what they wait for (programs, browsers, a software adapter) leaves two processors idle with fewer.
const project = (name: string, timeout: number, globalSetup: string[] = []) => ({
  plugins: [wgslAsText],
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    globalSetup,
    setupFiles: "test/helpers/equality.ts",
    testTimeout: timeout,
    hookTimeout: timeout,
    expect: { poll: { timeout: 30_000 } },
    isolate: false,
    maxWorkers: 3,
  },
})

const config: ViteUserConfig = defineConfig({
  test: {
    projects: [project("unit", 20_000), project("gpu", 120_000), project("acceptance", 300_000, ["test/helpers/build.ts"])],
  },
})

export default config
