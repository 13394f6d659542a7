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

/** Swagger UI leaves its head outside of every landmark and jumps a level of headings; screen readers go by both. */
function mendLandmarks(): void {
  for (const head of target.querySelectorAll(".information-container:not([role]), .scheme-container:not([role])")) {
    head.setAttribute("role", "region");
    head.setAttribute("aria-label", head.querySelector("h1, h2")?.textContent ?? document.title);
  }
  for (const heading of target.querySelectorAll("h3.opblock-tag:not([aria-level])"))
    heading.setAttribute("aria-level", "2");
}

async function show(): Promise<void> {
  const [{ default: SwaggerUIBundle }, answer] = await Promise.all([
    import("swagger-ui-dist/swagger-ui-bundle.js"),
    fetch(target.dataset["openapi"] ?? "/openapi.json", { headers: { Accept: "application/json" } }),
  ]);
  if (!answer.ok) throw new Error(`the API description was answered with ${answer.status}`);
  const spec: unknown = await answer.json();
  target.replaceChildren();
  new MutationObserver(mendLandmarks).observe(target, { childList: true, subtree: true });
  SwaggerUIBundle({
    domNode: target,
    spec,
    validatorUrl: null,
    // Deep links would put a link inside each operation's button, which no screen reader can open.
    deepLinking: false,
    docExpansion: "list",
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
