/**
 * What does not fit into its place is told whole by a tooltip, on whatever page: made when somebody points at it, since
 * only then it is known what is cut. It must not know any page.
 */

const MARK = "data-whole";

/** Begins to watch; once a page. */
export function tellWholeTexts(): void {
  for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, (event) => tell(event.target));
}

function tell(target: EventTarget | null): void {
  const place =
    target instanceof Element ? target.closest<HTMLElement>("td, th, dd, dt, h2, .list-name, .list-small") : null;
  if (place === null || (place.title !== "" && !place.hasAttribute(MARK))) return;
  const inner = target instanceof HTMLElement && place.contains(target) && isCut(target) ? target : place;
  const text = isCut(inner) ? (inner.textContent ?? "").trim() : "";
  // What was cut once may fit by now, and what it says may be another.
  if (text === "") {
    if (place.hasAttribute(MARK)) place.removeAttribute("title");
    place.removeAttribute(MARK);
    return;
  }
  place.title = text;
  place.setAttribute(MARK, "");
}

function isCut(element: HTMLElement): boolean {
  const wide = element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1;
  return wide && getComputedStyle(element).overflow !== "visible" && element.childElementCount <= 2;
}
