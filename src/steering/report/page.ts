import { REPORT_CSS } from "./style.ts"

/** A self-contained page. `title` is text, `body` HTML. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"><title>${escape(title)}</title>
<style>${REPORT_CSS}</style></head>
<body><main>${body}</main></body></html>
`
}

/** A list of names and values, which may be anything JSON can say. */
export function definitions(values: Readonly<Record<string, unknown>>): string {
  const items = Object.entries(values).map(([key, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value)
    return `<dt>${escape(key)}</dt><dd>${escape(text ?? "none")}</dd>`
  })
  return `<dl>${items.join("")}</dl>`
}

/** A figure twice, of which the style sheet shows the one that fits the screen; on paper the wide one. */
export const byWidth = (wide: string, narrow: string, caption: string): string =>
  `<figure><div class="on-wide">${wide}</div><div class="on-narrow">${narrow}</div><figcaption>${caption}</figcaption></figure>`

/** Four digits at most; «none» for what is not there. */
export const shown = (value: number | null | undefined): string =>
  value === null || value === undefined ? "none" : `${Number(value.toPrecision(4))}`

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" }

/** Text for HTML. */
export const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character] as string)

/** A table that scrolls sideways where it is wider than the page; a row's first cell is its heading. */
export function tableHtml(label: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const body = rows.map(
    ([first = "", ...rest]) =>
      `<tr><th scope="row">${escape(first)}</th>${rest.map((cell) => `<td>${escape(cell)}</td>`).join("")}</tr>`,
  )
  return `<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table><thead><tr>${head
    .map((cell) => `<th scope="col">${escape(cell)}</th>`)
    .join("")}</tr></thead><tbody>${body.join("\n")}</tbody></table></div>`
}
