import { describe, expect, it } from "vitest";
import de from "../../src/tidewire/web/locales/de.json";
import en from "../../src/tidewire/web/locales/en.json";
import { search } from "../src/ui/palette";
import * as text from "../src/ui/text";

describe("catalogues", () => {
  it("have the same keys and the same places to fill", () => {
    const places = (words: string): string[] => [...words.matchAll(/\{\w+\}/g)].map((found) => found[0]).toSorted();
    expect(Object.keys(de)).toEqual(Object.keys(en));
    for (const [key, words] of Object.entries(en)) {
      expect([key, places(de[key as keyof typeof de])]).toEqual([key, places(words)]);
    }
  });
});

describe("numbers and times", () => {
  it("have separators, units and one decimal", () => {
    expect(text.count(1204)).toBe("1,204");
    expect([99_999, 1_580_400].map((n) => text.volume(n))).toEqual(["99,999", "1.6M"]);
    expect(text.decimal(25.34)).toBe("25.3");
    expect(text.bytes(5120)).toBe("5.1 kB");
    expect(text.milliseconds(3.14)).toBe("3.1 ms");
    expect(text.milliseconds(12_345)).toBe("12.3 s");
    expect(text.price(0.1234)).toBe("0.1234");
    expect(text.percent(-0.012)).toBe("-0.012 %");
  });

  it("say nothing rather than something wrong when the value is unknown", () => {
    for (const show of [
      text.count,
      text.volume,
      text.decimal,
      text.bytes,
      text.price,
      text.percent,
      text.span,
      text.ago,
      text.clock,
    ]) {
      expect(show(null)).toBe(text.NONE);
      expect(show(Number.NaN)).toBe(text.NONE);
    }
  });

  it("speak of spans in the two largest units", () => {
    expect([5, 200, 18_720, 273_600].map((s) => text.span(s))).toEqual(["5 s", "3 min 20 s", "5 h 12 min", "3 d 4 h"]);
    expect(text.ago(0.4)).toBe("just now");
    expect(text.ago(3.9)).toBe("3 s ago");
    expect([0.4, 59, 85, 3_700, 180_000].map((s) => text.agoRoughly(s))).toEqual([
      "just now",
      "59 s ago",
      "1 min ago",
      "1 h ago",
      "2 d ago",
    ]);
  });

  it("show the time to the millisecond", () => {
    expect(text.clockMs(1_700_000_000.123)).toBe("22:13:20.123");
    expect(text.clockMs(1_700_000_001)).toBe("22:13:21.000");
  });
});

describe("palette search", () => {
  const item = (name: string, more = "") => ({ kind: "Symbol", name, more, run: () => undefined });
  it("puts the exact name first, then beginnings, then the rest", () => {
    const items = [item("JAM"), item("Pause", "am"), item("AMZN"), item("AM")];
    expect(search(items, "am").map((one) => one.name)).toEqual(["AM", "AMZN", "JAM", "Pause"]);
  });
  it("wants every word to occur", () => {
    expect(search([item("AAPL", "on primary"), item("MSFT", "on primary")], "primary msft")).toHaveLength(1);
  });
});
