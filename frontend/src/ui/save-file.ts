/** Gives the reader a file, as the browser saves any. It must not know what is in it. */

/** How long the browser may need to begin saving. */
const KEPT_MS = 10_000;

export function saveFile(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
}
