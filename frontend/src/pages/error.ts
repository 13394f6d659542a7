/** The error page: display preferences, and copying the correlation id. */
import "../styles/plain.scss";
import { wireCopy } from "../ui/copy";
import { wirePreferences } from "../ui/preferences";

wirePreferences(document);

const button = document.querySelector<HTMLButtonElement>('[data-part="copy"]');
const id = document.querySelector('[data-part="correlation-id"]');
if (button !== null && id !== null) wireCopy(button, '[data-part="copy-word"]', () => id.textContent ?? "");
