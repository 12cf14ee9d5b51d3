import { join } from "node:path"
import type { LayerMap } from "../steering/layer-map.ts"
import type { LayerMapFacts } from "../steering/report/heat-map-html.ts"
import { makeFolder, writeFileAtomic } from "./files.ts"
import { svgToPng } from "./report.ts"

export type { LayerMapFacts } from "../steering/report/heat-map-html.ts"

/** A phone's page without its margins, so that the figure's text is not scaled. */
const NARROW = 328

/**
 * Writes a map of layers into a folder: layers.html, and its figure heat-map.svg and heat-map.png.
 * @returns the files written
 * @throws InputError when the folder cannot be written
 */
export async function writeLayerMap(folder: string, map: LayerMap, facts: LayerMapFacts): Promise<string[]> {
  // The drawing library takes a third of a second to load: only reports pay it.
  const [{ heatMapFigure }, { layerMapHtml }, { parseHTML }] = await Promise.all([
    import("../steering/report/heat-map.ts"),
    import("../steering/report/heat-map-html.ts"),
    import("linkedom"),
  ])
  const document = parseHTML("<html></html>").document as object
  const wide = heatMapFigure(map, document)
  const files: Record<string, string | Uint8Array> = {
    "layers.html": layerMapHtml(map, { wide, narrow: heatMapFigure(map, document, NARROW) }, facts),
    "heat-map.svg": wide,
    "heat-map.png": await svgToPng(wide),
  }
  await makeFolder(folder)
  for (const [name, data] of Object.entries(files)) await writeFileAtomic(join(folder, name), data)
  return Object.keys(files).map((name) => join(folder, name))
}
