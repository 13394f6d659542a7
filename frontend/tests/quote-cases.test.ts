/** Recorded interleavings of several people on one quote: this reducer ends where the server says that every page ends. */
import { describe, expect, it } from "vitest";

import type { Fields } from "../src/client/event";
import type { Json } from "../src/client/wire";
import { cut, NO_QUOTE, type QuoteModel, receive } from "../src/state/quote";
import { readMessage } from "../src/state/quote-wire";

/** As tests/support/quote_cases.py writes them. */
interface Case {
  readonly quote_id: string;
  readonly tape: readonly (readonly [string, Message?])[];
  readonly shows: {
    readonly version: number;
    readonly status: string;
    readonly premium: Json;
    readonly fields: { readonly [name: string]: Json };
    readonly waiting: readonly number[];
  };
}
type Message = Fields & { readonly type: string };
type Entry = Case["tape"][number];

const cases = Object.entries(
  import.meta.glob<Case>("../../tests/quotes/cases/*.json", { eager: true, import: "default" }),
);

function play(tape: readonly Entry[]): QuoteModel {
  let model = NO_QUOTE;
  for (const [what, message] of tape) {
    if (what === "lost") model = cut(model);
    const read = message === undefined ? null : readMessage(message.type, message);
    if (read !== null) model = receive(model, read, 0);
  }
  return model;
}

function shown({ quote, held }: QuoteModel): Case["shows"] {
  if (quote === null) throw new Error("there is no quote");
  const { premium = "absent", status } = quote.quote;
  const set = Object.entries(quote.fields).filter(([, field]) => field.revision > 0);
  const fields = Object.fromEntries(set) as unknown as { [name: string]: Json };
  const waiting = [...held.keys()].sort((one, other) => one - other);
  return { version: quote.version, status, premium: premium as unknown as Json, fields, waiting };
}

const isUpdate = ([, message]: Entry): boolean => message?.type === "field_update" || message?.type === "quote_update";

/** Neighbouring updates swapped, as when another node is quicker. */
function swapped(tape: readonly Entry[]): Entry[] {
  const other = [...tape];
  for (let i = 0; i + 1 < other.length; i++) {
    const [one, next] = [other[i], other[i + 1]];
    if (one !== undefined && next !== undefined && isUpdate(one) && isUpdate(next))
      [other[i], other[i + 1]] = [next, one];
  }
  return other;
}

describe("recorded interleavings", () => {
  it("are there", () => {
    expect(cases.length).toBeGreaterThan(5);
  });
  for (const [path, { tape, shows }] of cases) {
    const name = path.replace(/^.*\//, "");
    const { version, status, premium, fields, waiting } = shows;
    const wanted = { version, status, premium, fields, waiting };
    it(`${name} ends as the server says`, () => expect(shown(play(tape))).toEqual(wanted));
    it(`${name} ends the same with neighbours swapped`, () => expect(shown(play(swapped(tape)))).toEqual(wanted));
    it(`${name} ends the same with every update twice`, () => {
      const doubled = tape.flatMap((entry) => (isUpdate(entry) ? [entry, entry] : [entry]));
      expect(shown(play(doubled))).toEqual(wanted);
    });
  }
});
