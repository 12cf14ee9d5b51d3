import { render } from "preact"
import { App } from "./app.tsx"
import { connect } from "./connect.ts"

const place = document.getElementById("page") as HTMLElement
place.replaceChildren()
render(<App connection={connect()} />, place)
