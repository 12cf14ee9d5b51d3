export function buildPage(out: string, options: { readonly inBrowser: boolean }): Promise<void>
