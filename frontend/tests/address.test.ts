/** Addresses that ask for what a page cannot do: nothing of it is left out, and what is right stays. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  askedIn,
  listTakes,
  NOTHING,
  odditiesOf,
  type Takes,
  wholeWithin,
  withoutOddities,
} from "../src/state/address";
import { analyticsTakes, queryOf, viewOf } from "../src/state/analytics";
import { FEED_ADDRESS } from "../src/state/filter";
import { type ListShape, toAddress, withFields, firstQuery } from "../src/state/list-query";
import { QUOTES_ADDRESS } from "../src/state/quote-filter";
import { namedMoment } from "../src/state/zone-time";

const SHAPE: ListShape = { fields: ["text", "slow", "view"], sort: "since", sorts: { since: true, name: false } };
const LIST = listTakes(SHAPE, { slow: ["", "true"], view: ["", "all"] });

function wrong(search: string, takes: Takes): string[] {
  return odditiesOf(search, takes).map(({ name, why }) => `${name} ${why}`);
}

describe("an address", () => {
  it.each([
    ["?colour=blue", ["colour unknown"]],
    ["?__proto__=1&constructor=2&toString=", ["__proto__ unknown", "constructor unknown", "toString unknown"]],
    ["?Text=a", ["Text unknown"]],
    ["?text=a&text=a", ["text twice"]],
    ["?sort=banana", ["sort value"]],
    ["?sort=", ["sort value"]],
    ["?sort=toString", ["sort value"]],
    ["?order=sideways&slow=banana&view=x", ["order value", "slow value", "view value"]],
    ["?cursor=x&limit=3&keep=a", ["cursor unknown", "limit unknown", "keep unknown"]],
    ["?text=%27%3B--&slow=true&view=&sort=name&order=desc", []],
    ["", []],
  ])("of a list: %s", (search, expected) => {
    expect(wrong(search, LIST)).toEqual(expected);
  });

  it("of any list that a page writes itself is one that it takes", () => {
    const fields = fc.record({
      text: fc.string(),
      slow: fc.constantFrom("", "true"),
      view: fc.constantFrom("", "all"),
    });
    fc.assert(
      fc.property(fields, fc.constantFrom("since", "name"), fc.boolean(), (given, sort, descending) => {
        const search = toAddress({ ...withFields(firstQuery(SHAPE), given), sort, descending }, SHAPE);
        expect(wrong(search, LIST)).toEqual([]);
      }),
    );
  });

  it("is either taken whole, or what is wrong is named and the rest stays", () => {
    const pairs = fc.array(
      fc.tuple(fc.constantFrom("text", "slow", "sort", "x", ""), fc.constantFrom("", "true", "b")),
    );
    fc.assert(
      fc.property(pairs, (given) => {
        const search = `?${new URLSearchParams(given)}`;
        const odd = odditiesOf(search, LIST);
        const rest = withoutOddities(search, odd);
        expect(wrong(rest, LIST)).toEqual([]);
        const left = new URLSearchParams(rest).size;
        expect(left + odd.reduce((sum, one) => sum + one.values.length, 0)).toBe(given.length);
      }),
    );
  });

  it("names its choices, and says all that it asks for, cut where it is absurd", () => {
    const [odd] = odditiesOf("?view=x", LIST);
    expect(odd).toEqual({ name: "view", values: ["x"], why: "value", choices: ["all"] });
    expect(askedIn(`?a=1&a=2&b=${"x".repeat(100)}`)).toBe(`a=1, a=2, b=${"x".repeat(60)}…`);
  });

  it("of a page that takes nothing may say nothing", () => {
    expect(wrong("?symbol=AAPL", NOTHING)).toEqual(["symbol unknown"]);
    expect(wrong("", NOTHING)).toEqual([]);
  });
});

describe("the pages' own", () => {
  it.each([
    ["?dashboard=nope", ["dashboard value"]],
    ["?hours=banana", ["hours value"]],
    ["?hours=0", ["hours value"]],
    ["?hours=721", ["hours value"]],
    ["?hours=1e2", ["hours value"]],
    ["?state=%27", ["state value"]],
    ["?product=UPPER", ["product value"]],
    ["?dashboard=performance&state=CA", ["state unknown"]],
    ["?hour=24", ["hour unknown"]],
    ["?dashboard=conversion&hours=72&state=CA&product=motor", []],
  ])("figures: %s", (search, expected) => {
    expect(wrong(search, analyticsTakes(search))).toEqual(expected);
    if (expected.length === 0) expect(queryOf(viewOf(search))).toBe(search);
  });

  it("ticks and quotes: what is no number, too long or unknown", () => {
    expect(wrong("?min_change=banana&symbol=AAPL", FEED_ADDRESS)).toEqual(["min_change value", "symbol unknown"]);
    expect(wrong("?min_change=0,5%25&symbols=AAPL,MS*", FEED_ADDRESS)).toEqual([]);
    expect(wrong(`?search=${"x".repeat(121)}&page=2`, QUOTES_ADDRESS)).toEqual(["search value", "page unknown"]);
    // Which values there are, the server says.
    expect(wrong("?status=draft&status=nope&created_from=banana", QUOTES_ADDRESS)).toEqual([]);
    expect(wrong("?state=CA&state=NY", QUOTES_ADDRESS)).toEqual(["state twice"]);
  });

  it("moments and whole numbers are those that the server reads", () => {
    expect(namedMoment("2026-03-01T12:30:00Z")).toBe(1_772_368_200);
    expect(namedMoment("2026-03-01T12:30:00+01:00")).toBe(1_772_364_600);
    expect(namedMoment("1772368200")).toBe(1_772_368_200);
    for (const bad of ["banana", "2026-03-01", "2026-03-01T12:30:00", "-1", "nan", "inf", "1e400", "", "0x10"])
      expect(namedMoment(bad)).toBeNull();
    for (const bad of ["", "-1", "1.5", "0x2", "1e1", " 2", "9".repeat(400)])
      expect(wholeWithin(1, 20)(bad)).toBe(false);
    expect(wholeWithin(1, 20)("20")).toBe(true);
  });
});
