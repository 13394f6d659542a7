import fc from "fast-check";
import { expect, test } from "vitest";
import { documentOf, draftOf, isMissing, NEW, placeIn } from "../src/state/rule-form";

const label = fc.stringMatching(/^[a-z_]{1,8}$/);
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((one) => (Object.is(one, -0) ? 0 : one));
const figure = fc.record({
  metric: fc.stringMatching(/^[a-z_]{1,30}$/),
  // Whatever a value holds, but for ends of lines and blanks around it, which no label of ours has.
  where: fc.dictionary(
    label,
    fc.string({ minLength: 1 }).filter((text) => text.trim() === text && !/[\r\n]/.test(text)),
  ),
  read: fc.constantFrom("value", "rate", "age"),
  window_s: number,
  absent: fc.constantFrom("no_data", "zero"),
});
const rule = fc.record({
  name: fc.string(),
  figure,
  over: fc.option(figure),
  least: number,
  by: fc.uniqueArray(label),
  combine: fc.constantFrom("any", "max", "min", "sum"),
  compare: fc.constantFrom(">", ">=", "<", "<="),
  threshold: number,
  clear: fc.option(number),
  for_s: number,
  clear_for_s: number,
  severity: fc.constantFrom("low", "medium", "high", "critical"),
  hours: fc.constantFrom("always", "session"),
  unless: fc.option(fc.stringMatching(/^[a-z_]{1,30}$/)),
  no_data: fc.constantFrom("show", "alert"),
  enabled: fc.boolean(),
  advice: fc.string(),
});

test("a rule that goes through the form unchanged is the same rule", () => {
  fc.assert(
    fc.property(rule, (given) => {
      expect(documentOf(draftOf({ key: "any", ...given }))).toEqual(given);
    }),
  );
});

test("what was not filled in is null, for the server to name", () => {
  expect(documentOf(NEW)).toMatchObject({ threshold: null, clear: null, over: null, unless: null, by: [], for_s: 60 });
  const texts = { ...NEW.texts, threshold: "x", for_s: " ", divided: "true" };
  expect(documentOf({ ...NEW, texts })).toMatchObject({ threshold: null, for_s: null, over: { metric: "" } });
});

test("labels stand a line each, and a line without a value asks for an empty one", () => {
  const texts = { ...NEW.texts, "figure.where": "route=/a=b\n\n  status = 5xx\nbare" };
  const found = documentOf({ ...NEW, texts })["figure"];
  expect(found).toMatchObject({ where: { route: "/a=b", status: "5xx", bare: "" } });
});

test("the place of a mistake in the document is the field's name", () => {
  expect(placeIn("This is no rule: Expected `float`, got `null` - at `$.threshold`")).toBe("threshold");
  expect(placeIn("This is no rule: Invalid enum value 'x' - at `$.figure.read`")).toBe("figure.read");
  expect(placeIn("This is no rule: JSON is malformed")).toBeNull();
  expect(isMissing("This is no rule: Expected `float`, got `null` - at `$.threshold`")).toBe(true);
  expect(isMissing("This is no rule: Invalid enum value 'x' - at `$.figure.read`")).toBe(false);
});
