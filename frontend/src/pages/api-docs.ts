/** The API docs: Swagger UI from our own files, without its online validator. */
import "../styles/app.scss";
import "../styles/docs.scss";
import "swagger-ui-dist/swagger-ui.css";
import { find, setHidden } from "../ui/dom";
import { startFrame } from "../ui/frame";

startFrame({ items: () => [] });

const target = find(document, "#swagger");

async function show(): Promise<void> {
  const [{ default: SwaggerUIBundle }, answer] = await Promise.all([
    import("swagger-ui-dist/swagger-ui-bundle.js"),
    fetch(target.dataset["openapi"] ?? "/openapi.json", { headers: { Accept: "application/json" } }),
  ]);
  if (!answer.ok) throw new Error(`the API description was answered with ${answer.status}`);
  const spec: unknown = await answer.json();
  target.replaceChildren();
  SwaggerUIBundle({ domNode: target, spec, validatorUrl: null, deepLinking: true, docExpansion: "list" });
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
