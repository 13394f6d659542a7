/** What a quote still needs before it can be rated, as the server says it in `missing`. Pure. */
import { fieldOf } from "./quote";
import type { QuoteDocument } from "./quote-wire";

export interface Needed {
  readonly name: string;
  readonly needed: boolean;
}

const COVERAGE = "coverage_";

/** The needed fields that are empty; and the first coverage, if nothing is covered. */
export function missingFields(specs: readonly Needed[], quote: QuoteDocument | null): string[] {
  if (quote === null) return [];
  const empty = (name: string): boolean => fieldOf(quote, name).value === null;
  const missing = specs.filter((spec) => spec.needed && empty(spec.name)).map((spec) => spec.name);
  const coverages = specs.map((spec) => spec.name).filter((name) => name.startsWith(COVERAGE));
  const [first] = coverages;
  return first !== undefined && coverages.every(empty) ? [...missing, first] : missing;
}
