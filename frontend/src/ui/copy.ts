/** A button that copies text and says whether it did. It must not know what the text is. */
import { find, setText } from "./dom";
import { t } from "./text";

/** How long the button says "Copied". */
const SAID_MS = 2_000;

/** Wires `button` to copy what `text` returns; `wordSelector` finds the part of it that changes. */
export function wireCopy(button: HTMLButtonElement, wordSelector: string, text: () => string): void {
  const word = find(button, wordSelector);
  const usual = word.textContent ?? "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  button.addEventListener("click", async () => {
    setText(word, (await copied(text())) ? t("copied") : t("copy.failed"));
    clearTimeout(timer);
    timer = setTimeout(() => setText(word, usual), SAID_MS);
  });
}

async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch (error) {
    // No clipboard on a plain-http page of another host, or permission refused: said on the button.
    if (error instanceof DOMException || error instanceof TypeError) return false;
    throw error;
  }
}
