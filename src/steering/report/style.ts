const shades = Array.from({ length: 10 }, (_, i) => `i.s${i}{background:rgb(198 40 40 / ${((i / 9) * 0.55).toFixed(2)})}`).join(
  "",
)

/** The reports' style sheet: a phone's width first, dark where the reader's system is, light on paper. */
export const REPORT_CSS: string = `:root{color-scheme:light dark;--text:#222;--back:#fff;--faint:#666;--line:#ddd;--red:#c62828}
@media(prefers-color-scheme:dark){:root{--text:#ddd;--back:#16181d;--faint:#9a9fa8;--line:#33373f;--red:#ff7b72}}
@media print{:root{color-scheme:light;--text:#222;--back:#fff;--faint:#555;--line:#ccc;--red:#c62828}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:16px/1.55 system-ui,"DejaVu Sans",sans-serif}
main{max-width:54rem;margin:0 auto;padding:1rem}
h1{font-size:2rem;line-height:1.2;margin:.2em 0}h2{margin:2rem 0 .6rem;font-size:1.2rem}
.over,small,figcaption,.legend,q{color:var(--faint)}.over{margin:0}
figure{margin:0}figcaption{font-size:.8rem}svg{max-width:100%;height:auto;display:block}
.on-narrow{display:none}@media screen and (max-width:40rem){.on-wide{display:none}.on-narrow{display:block}}.on-narrow svg{width:100%;max-width:28rem}
.wide{overflow-x:auto}.wide svg{min-width:34rem}
.multiples{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,15rem),1fr));gap:1rem}
article{border-left:3px solid var(--line);padding:0 0 0 .8rem;margin:0 0 1.2rem;overflow-wrap:anywhere;break-inside:avoid}
article.redline{border-color:var(--red)}article.broken h3{color:var(--faint)}article strong{color:var(--red)}
h3{margin:0;font-size:1rem}small{font-weight:400}p{margin:.4em 0}
i{font-style:normal;white-space:pre-wrap;print-color-adjust:exact;-webkit-print-color-adjust:exact}${shades}
dl{display:grid;grid-template-columns:minmax(6rem,auto) minmax(0,1fr);gap:.2rem 1rem;font-size:.85rem;overflow-wrap:anywhere}
dt{color:var(--faint)}dd{margin:0}
.scroll{overflow-x:auto;white-space:nowrap}.scroll th,.scroll td:last-child{white-space:normal;min-width:4.5rem}.scroll th[scope=row]{min-width:min(12rem,38vw)}table{border-collapse:collapse;font-size:.85rem}th,td{padding:.2rem .6rem;text-align:left;border-bottom:1px solid var(--line)}
summary{cursor:pointer;color:var(--faint)}
@media print{details::details-content{content-visibility:visible;block-size:auto}summary{display:none}
.scroll{overflow:visible}table{font-size:.75rem}th,td{padding:.2rem .35rem}}`
