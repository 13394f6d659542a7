/** The API docs: Swagger UI from our own files, without its online validator. */
import "../styles/app.scss";
import "../styles/docs.scss";
import "swagger-ui-dist/swagger-ui.css";
import { find, setHidden } from "../ui/dom";
import { startFrame } from "../ui/frame";

startFrame({ items: () => [] });

/** Swagger UI has its own dark colours behind a class. */
function matchTheme(): void {
  const root = document.documentElement;
  root.classList.toggle("dark-mode", root.dataset["bsTheme"] === "dark");
}

matchTheme();
document.addEventListener("tidewire:theme", matchTheme);

const target = find(document, "#swagger");

async function show(): Promise<void> {
  const [{ default: SwaggerUIBundle }, answer] = await Promise.all([
    import("swagger-ui-dist/swagger-ui-bundle.js"),
    fetch(target.dataset["openapi"] ?? "/openapi.json", { headers: { Accept: "application/json" } }),
  ]);
  if (!answer.ok) throw new Error(`the API description was answered with ${answer.status}`);
  const spec: unknown = await answer.json();
  target.replaceChildren();
  SwaggerUIBundle({
    domNode: target,
    spec,
    validatorUrl: null,
    deepLinking: true,
    docExpansion: "list",
    // The page has its main landmark already; a second one confuses screen readers.
    onComplete: () => target.querySelector("main")?.setAttribute("role", "group"),
  });
}

try {
  await show();
} catch {
  // The reason is in the browser's console and at /openapi.json; the page says what to do.
  target.replaceChildren();
  setHidden(find(document, "#docs-error"), false);
} finally {
  target.removeAttribute("aria-busy");
}
