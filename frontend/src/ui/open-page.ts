/**
 * How every page begins: with what its address asks for, or, if that cannot be, with a refusal in words in the page's
 * place and a way on. It must not know any page.
 */
import {
  askedIn,
  listTakes,
  NOTHING,
  type Oddity,
  odditiesOf,
  readable,
  type Takes,
  type Values,
  withoutOddities,
} from "../state/address";
import type { ListShape } from "../state/list-query";
import { type BannerAction, Banners } from "./banners";
import { element, find } from "./dom";
import { startFrame } from "./frame";
import { t } from "./text";

/** Starts a page, unless its address asks for what cannot be: then nothing is asked of the server, and it is said why. */
export function openPage(start: () => void, takes: Takes = NOTHING): void {
  const odd = odditiesOf(location.search, takes);
  if (odd.length === 0) return start();
  startFrame({ items: () => [] });
  refuse(odd);
}

/** What a page of a list takes: its fields, of which those to choose from have their choices in the page. */
export function takesOfList(shape: ListShape, choices: Readonly<Record<string, Values>> = {}): Takes {
  const form = find<HTMLFormElement>(document, '[data-part="filter"]');
  const inPage = [...form.elements].flatMap((field): [string, Values][] => {
    if (field instanceof HTMLSelectElement) return [[field.name, [...field.options].map((option) => option.value)]];
    const box = field instanceof HTMLInputElement && field.type === "checkbox";
    return box ? [[field.name, ["", "true", "false"]]] : [];
  });
  return listTakes(shape, { ...Object.fromEntries(inPage), ...choices });
}

function refuse(odd: readonly Oddity[]): void {
  const page = find(document, "#main");
  const place = element("div", { class: "banners", "data-testid": "banners" });
  // The live state too: this page has no connection, and will make none.
  document.querySelector('[data-part="live"]')?.remove();
  page.replaceChildren(place);
  const title = t("address.refused", { what: odd.map(oddWords).join("; ") });
  const text = `${t("address.action")} ${t("address.will_not")} ${t("address.asked", { asked: askedIn(location.search) })}`;
  new Banners(place).draw([{ key: "address", tone: "error", title, text, actions: ways(odd) }]);
}

function oddWords({ name, values, why, choices }: Oddity): string {
  const what = values.map((value) => readable(name, value)).join(", ");
  if (why === "unknown") return t("address.unknown", { what });
  if (why === "twice") return t("address.twice", { what });
  if (choices.length === 0) return t("address.value", { what });
  return t("address.choice", { what, choices: choices.join(", ") });
}

/** On without what cannot be; and, if that leaves something, without anything. */
function ways(odd: readonly Oddity[]): BannerAction[] {
  const rest = withoutOddities(location.search, odd);
  const plain = { label: t("address.plain"), testid: "address-plain", href: location.pathname };
  if (rest === "") return [plain];
  return [{ label: t("address.rest"), testid: "address-rest", href: `${location.pathname}${rest}` }, plain];
}
