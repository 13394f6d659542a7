/** The filters of the list of quotes that have no field: each with a button that takes it away. It must not know the list. */
import { chipsOf, type Happened, type ListFilter, type Moment } from "../state/quote-filter";
import { element, icon, setHidden } from "./dom";
import { exact, t, word } from "./text";

export function drawChips(list: HTMLElement, filter: ListFilter, remove: (chip: Happened | "product") => void): void {
  const chips = chipsOf(filter);
  setHidden(list, chips.length === 0);
  list.replaceChildren(
    ...chips.map((chip) => {
      const words = chip === "product" ? productWords(filter) : timeWords(filter, chip);
      const button = element(
        "button",
        {
          type: "button",
          class: "btn btn-sm btn-quiet",
          "data-testid": `chip-${chip}`,
          title: t("quotes.chip.remove"),
          "aria-label": `${words}. ${t("quotes.chip.remove")}`,
        },
        words,
        " ",
        icon("x-lg"),
      );
      button.addEventListener("click", () => {
        remove(chip);
        (list.querySelector<HTMLElement>("button") ?? document.querySelector<HTMLElement>("#qs-search"))?.focus();
      });
      return element("li", {}, button);
    }),
  );
}

function productWords(filter: ListFilter): string {
  return t("quotes.chip.product", { product: word("quote.value", filter.product) });
}

function timeWords(filter: ListFilter, what: Happened): string {
  const moment = (end: "from" | "before"): string | null => {
    const name: Moment = `${what}_${end}`;
    const found = filter.moments[name];
    return found === undefined ? null : exact(found);
  };
  const [from, before] = [moment("from"), moment("before")];
  const name = word("quotes.chip", what);
  if (from === null) return t("quotes.chip.before", { name, before: before ?? "" });
  return before === null ? t("quotes.chip.since", { name, from }) : t("quotes.chip.between", { name, from, before });
}
