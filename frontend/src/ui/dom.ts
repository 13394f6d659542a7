/**
 * The few DOM moves that every part makes: find, build, write only what changed. Text goes in as text, never as HTML.
 * It must not know any page.
 */

type Attributes = Record<string, string | boolean | undefined>;

/** The element for `selector` under `root`. A template without it is a mistake in the program, so this throws. */
export function find<T extends Element = HTMLElement>(root: ParentNode, selector: string): T {
  const element = root.querySelector<T>(selector);
  if (element === null) throw new Error(`the page has no element ${selector}`);
  return element;
}

/** The element marked `data-part="name"`. */
export function part<T extends Element = HTMLElement>(root: ParentNode, name: string): T {
  return find<T>(root, `[data-part="${name}"]`);
}

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (typeof value === "string") made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Writes text only if it differs: an unchanged node keeps the reader's selection and costs no layout. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

export function setAttribute(target: Element, name: string, value: string | null): void {
  if (value === null) target.removeAttribute(name);
  else if (target.getAttribute(name) !== value) target.setAttribute(name, value);
}

export function setHidden(target: HTMLElement, hidden: boolean): void {
  if (target.hidden !== hidden) target.hidden = hidden;
}

/** An icon of the sprite in the page (see icons.json). Decorative: the word beside it speaks. */
export function icon(name: string): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function setIcon(svg: Element, name: string): void {
  setAttribute(find<SVGUseElement>(svg, "use"), "href", `#i-${name}`);
}

/** A copy of what `<template id>` holds. */
export function fromTemplate(id: string): HTMLElement {
  const template = find<HTMLTemplateElement>(document, `template#${id}`);
  const first = template.content.firstElementChild;
  if (first === null) throw new Error(`template ${id} is empty`);
  return document.importNode(first, true) as HTMLElement;
}

/** Whether the key belongs to a field or control, so that a page-wide shortcut must leave it alone. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]") !== null;
}
