/** The filter's form: fields, URL and the word on whether it is in force. It must not know the socket. */
import type { Filter } from "../socket/wire";
import { type FilterFields, fromQuery, NO_FIELDS, parseChange, toFilter, toQuery } from "../state/filter";
import { find, part, setAttribute, setText } from "./dom";
import { t } from "./text";

/** Typing stops this long before the filter is sent. */
const SETTLE_MS = 300;

export class FilterForm {
  private readonly form = part<HTMLFormElement>(document, "filter");
  private readonly said = part(document, "filter-state");
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly changed: (filter: Filter | null) => void;

  constructor(changed: (filter: Filter | null) => void) {
    this.changed = changed;
    this.fill(fromQuery(location.search));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.form.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.send(), SETTLE_MS);
    });
    part(document, "filter-clear").addEventListener("click", () => this.set(NO_FIELDS));
    window.addEventListener("popstate", () => {
      this.fill(fromQuery(location.search));
      this.send();
    });
  }

  /** The filter in the fields now. */
  get filter(): Filter | null {
    return toFilter(this.fields());
  }

  focus(): void {
    this.field("symbols").focus();
  }

  set(fields: FilterFields): void {
    this.fill(fields);
    this.send();
  }

  /** Says what the server has answered; `problem` is its refusal. */
  say(inForce: Filter | null, waiting: boolean, problem: string | null): void {
    const change = parseChange(this.field("minChange").value);
    const bad = change !== null && Number.isNaN(change);
    setAttribute(this.field("minChange"), "aria-invalid", bad ? "true" : null);
    const words = bad
      ? t("filter.bad_change")
      : (problem ?? (waiting ? t("filter.waiting") : inForce === null ? t("filter.off") : t("filter.on")));
    setText(this.said, words);
    setAttribute(this.said, "data-tone", bad || problem !== null ? "error" : inForce === null ? null : "on");
    part<HTMLButtonElement>(document, "filter-clear").disabled = Object.values(this.fields()).every(
      (text) => text === "",
    );
  }

  private send(): void {
    clearTimeout(this.timer);
    const query = toQuery(this.fields(), location.search);
    history.replaceState(null, "", query === "" ? location.pathname : `?${query}`);
    this.changed(this.filter);
  }

  private fields(): FilterFields {
    const read = (name: keyof FilterFields): string => this.field(name).value;
    return { symbols: read("symbols"), types: read("types"), text: read("text"), minChange: read("minChange") };
  }

  private fill(fields: FilterFields): void {
    for (const name of Object.keys(fields) as (keyof FilterFields)[]) this.field(name).value = fields[name];
  }

  private field(name: keyof FilterFields): HTMLInputElement {
    return find<HTMLInputElement>(this.form, `[name="${name}"]`);
  }
}
