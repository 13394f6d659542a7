/** The login and logout pages: display preferences, and one press of the button per attempt. */
import "../styles/plain.scss";
import { find, setText } from "../ui/dom";
import { wirePreferences } from "../ui/preferences";
import { t } from "../ui/text";

wirePreferences(document);

const form = document.querySelector<HTMLFormElement>('[data-part="login"]');
form?.addEventListener("submit", () => {
  const button = find<HTMLButtonElement>(form, "button");
  button.disabled = true;
  setText(button, t("login.busy"));
});
// Coming back with the browser's Back button restores the page as it was left: make it usable again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
