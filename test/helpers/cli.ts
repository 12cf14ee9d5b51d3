import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { expect } from "vitest"

export interface Done {
  readonly code: number | null
  readonly stdout: string
  /** Without Dawn's own warnings and our notes. */
  readonly errors: string[]
  /** What was odd, without the note on a software adapter. */
  readonly notes: string[]
}

/** The built command line, run in a scratch folder of its own. */
export class CommandLine {
  static readonly root: string = join(import.meta.dirname, "../..")
  readonly scratch: string = mkdtempSync(join(tmpdir(), "redline-cli-"))

  at(name: string): string {
    return join(this.scratch, name)
  }

  start(...args: string[]): ChildProcess {
    return spawn(process.execPath, [join(CommandLine.root, "dist/cli.js"), ...args], { cwd: this.scratch })
  }

  run(...args: string[]): Promise<Done> {
    return finish(this.start(...args))
  }

  /** A run with more in its environment. */
  runWith(env: Readonly<Record<string, string>>, ...args: string[]): Promise<Done> {
    return finish(this.startWith(env, ...args))
  }

  startWith(env: Readonly<Record<string, string>>, ...args: string[]): ChildProcess {
    const program = [join(CommandLine.root, "dist/cli.js"), ...args]
    return spawn(process.execPath, program, { cwd: this.scratch, env: { ...process.env, ...env } })
  }

  /** A run for which a folder is a disk of so many bytes. */
  runOnDisk(folder: string, bytes: number, ...args: string[]): Promise<Done> {
    const disk = pathToFileURL(join(CommandLine.root, "test/helpers/small-disk.mjs")).href
    const env = { ...process.env, SMALL_DISK_FOLDER: this.at(folder), SMALL_DISK_BYTES: `${bytes}` }
    const program = ["--import", disk, join(CommandLine.root, "dist/cli.js")]
    return finish(spawn(process.execPath, [...program, ...args], { cwd: this.scratch, env }))
  }

  /** The one JSON document on stdout of a run that must do well. */
  async json(...args: string[]): Promise<Record<string, unknown>> {
    const { code, stdout, errors } = await this.run(...args, "--json")
    expect({ code, errors }).toEqual({ code: 0, errors: [] })
    return JSON.parse(stdout) as Record<string, unknown>
  }

  /** A run that must end with one line that matches, exit code 2, nothing on stdout and nothing left behind. */
  async expectBadInput(args: readonly string[], message: string): Promise<void> {
    const before = readdirSync(this.scratch).toSorted()
    const { code, stdout, errors } = await this.run(...args)
    expect(errors).toEqual([expect.stringMatching(new RegExp(`^redline: ${message}`))])
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" })
    expect(readdirSync(this.scratch).toSorted()).toEqual(before)
  }

  remove(): void {
    rmSync(this.scratch, { recursive: true, force: true })
  }
}

// The pipes are read as they are written: Dawn warns about drivers before anything of ours.
export async function finish(child: ChildProcess): Promise<Done> {
  let stdout = ""
  let stderr = ""
  child.stdout?.on("data", (piece: Buffer) => (stdout += piece.toString()))
  child.stderr?.on("data", (piece: Buffer) => (stderr += piece.toString()))
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve))
  const lines = stderr.split("\n")
  return {
    code,
    stdout,
    errors: lines.filter((line) => !/^(Warning: .*|note: .*|took .*|)$/.test(line)),
    notes: lines.filter((line) => line.startsWith("note: ") && !line.includes("software adapter")),
  }
}
