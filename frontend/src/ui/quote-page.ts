/**
 * A quote's page: its conduct. What each message changes, what is sent when, what happens with edits whose outcome is
 * unknown. State changes in state/, drawing happens in quote-view.
 */
import { ClientError, type Json, type Link } from "../client/index";
import { hubUrl } from "../socket/market-channel";
import { QuoteChannel } from "../socket/quote-channel";
import { ApiError, type FieldSpec, fieldSpecs } from "../socket/quotes-api";
import { cut, mustReload, NO_QUOTE, type QuoteModel, receive } from "../state/quote";
import * as own from "../state/quote-edits";
import { keep, revive } from "../state/quote-kept";
import { isObject, type QuoteMessage, readTheirs } from "../state/quote-wire";
import { FRESH_LINK, follow } from "../state/stream-link";
import { find, part, setHidden, setText } from "./dom";
import { errorWords, reasonWords } from "./error-words";
import { startFrame } from "./frame";
import { Loop } from "./loop";
import type { Item } from "./palette";
import { fieldLabel } from "./quote-control";
import { History } from "./quote-history";
import { Rating } from "./quote-rating";
import { type PageModel, QuoteView } from "./quote-view";
import { failureWords } from "./quote-words";
import { t } from "./text";
import { followNetwork } from "./network.ts";

/** The server wants the focus said again within 10 s. */
const FOCUS_EVERY_MS = 8_000;
/** And typing at most this often. */
const TYPING_EVERY_MS = 500;
/** Permission for the field, not for this value: nothing more can be edited. */
const FORBIDDEN = new Set(["permission_denied", "forbidden"]);

/** Loads what the form consists of, then lives. */
export async function startQuotePage(): Promise<void> {
  const loop = new Loop();
  try {
    const specs = await fieldSpecs();
    new QuotePage(loop, new Map(specs.map((spec) => [spec.name, spec]))).start();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    setHidden(part(document, "skeleton"), true);
    const place = part(document, "load-failed");
    setHidden(place, false);
    setText(part(place, "load-failed-words"), failureWords(error));
    part(place, "load-again").addEventListener("click", () => location.reload());
    startFrame({ items: () => [] });
  }
}

class QuotePage {
  private readonly loop: Loop;
  private readonly specs: ReadonlyMap<string, FieldSpec>;
  private readonly root = part(document, "quote");
  private readonly quoteId = this.root.dataset["quoteId"] ?? "";
  private readonly keptAt = `tidewire.edits.${this.quoteId}`;
  private readonly model: PageModel = {
    quote: NO_QUOTE,
    edits: own.NO_EDITS,
    link: FRESH_LINK,
    members: [],
    closed: null,
    editRefused: false,
    connectionId: null,
    username: this.root.dataset["username"] ?? "",
    offline: !navigator.onLine,
    clockOffset: Number(this.root.dataset["serverTime"]) - Date.now() / 1000,
  };
  private readonly view: QuoteView;
  private readonly history: History;
  private readonly rating: Rating;
  private readonly channel: QuoteChannel;
  private entered = false;
  private focused: string | null = null;
  private typedAt = 0;
  private dueTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(loop: Loop, specs: ReadonlyMap<string, FieldSpec>) {
    this.loop = loop;
    this.specs = specs;
    this.view = new QuoteView(this.model, specs, {
      retry: () => this.channel.retryNow(),
      reopen: () => this.reopen(),
      begin: (field) => this.change(own.begin(this.model.edits, this.model.quote.quote, field)),
      abandon: (field) => this.change(own.abandon(this.model.edits, field)),
      commit: (field, value) => this.commit(field, value),
      takeTheirs: (field) => this.change(own.takeTheirs(this.model.edits, field)),
      putMine: (field) => this.change(own.putMine(this.model.edits, field, crypto.randomUUID())),
      focus: (field, typing) => this.focus(field, typing),
    });
    // Sent again once the quote is there; until then nobody knows what has become of them.
    this.model.edits = revive(sessionStorage.getItem(this.keptAt), this.model.username);
    this.history = new History(this.quoteId, specs);
    this.rating = new Rating(this.quoteId, specs);
    this.channel = new QuoteChannel(hubUrl(location), this.quoteId, this.model.username, {
      link: (link) => this.follow(link),
      message: (message) => this.receive(message),
      present: ({ members }) => {
        this.model.members = members;
        this.loop.mark();
      },
      entered: () => {
        this.entered = true;
        this.model.closed = null;
        if (this.focused !== null) this.channel.focus(this.focused, false);
        this.send();
      },
      refused: (error) => this.close(error),
    });
  }

  start(): void {
    startFrame({
      items: () => this.paletteItems(),
      zoneChanged: () => this.loop.mark(),
      clockOffset: () => this.model.clockOffset,
    });
    this.wireNetwork();
    setInterval(() => this.everyNowAndThen(), 1_000);
    setInterval(() => {
      if (this.focused !== null) this.channel.focus(this.focused, false);
    }, FOCUS_EVERY_MS);
    this.loop.add(() => this.draw());
    this.loop.start();
    this.channel.open();
  }

  private draw(): void {
    this.view.draw();
    const { quote, edits, link, closed } = this.model;
    if (quote.quote !== null && closed === null) this.history.follow(quote.quote.version, this.view.mayEdit);
    this.history.draw(this.view.now());
    const settled = link.kind === "live" && own.waitingCount(edits) === 0;
    this.rating.draw({ model: quote, missing: this.view.missing, mayEdit: this.view.mayEdit, settled });
  }

  private wireNetwork(): void {
    // Before the socket goes: what is being typed is on its way.
    window.addEventListener("pagehide", () => this.view.flush());
    // What has not been stored outlives a reload, but not the tab.
    window.addEventListener("beforeunload", (event) => {
      if (own.waitingCount(this.model.edits) > 0) event.preventDefault();
    });
    followNetwork(this.channel, (offline) => {
      this.model.offline = offline;
      this.loop.mark();
    });
    window.addEventListener("focus", () => this.channel.retryNow());
  }

  // ---- what comes

  private follow(link: Link): void {
    const { model } = this;
    model.link = follow(model.link, link, Date.now());
    if (link.state === "connected") model.connectionId = link.connectionId;
    else this.cut();
    if (link.state === "ended" && link.reason === "other_user") {
      // Who has logged in meanwhile may not see what this person saw.
      model.quote = NO_QUOTE;
      this.history.clear();
    }
    this.loop.mark();
  }

  private receive(message: QuoteMessage): void {
    const { model } = this;
    const sawPremium = premiumIsShown(model.quote);
    model.quote = receive(model.quote, message, Date.now());
    // The history has premiums, too: what may not be seen any more must go from there as well.
    if (sawPremium !== premiumIsShown(model.quote)) this.history.clear();
    if (message.type === "update" && message.update.kind === "field" && message.update.opId !== null) {
      const { opId, state } = message.update;
      model.edits = own.done(model.edits, model.quote.quote, opId, state.revision);
    }
    if (message.type === "state") model.editRefused = false;
    this.change(own.settle(model.edits, model.quote.quote));
  }

  private cut(): void {
    this.entered = false;
    this.model.quote = cut(this.model.quote);
    this.model.edits = own.cutEdits(this.model.edits);
    this.model.members = [];
  }

  /** What somebody may no longer see is not shown any longer, nor kept. */
  private close(error: ClientError): void {
    this.entered = false;
    this.model.closed = error;
    this.model.quote = NO_QUOTE;
    this.model.members = [];
    this.keep();
    this.history.clear();
    this.loop.mark();
  }

  private reopen(): void {
    this.model.closed = null;
    this.channel.open();
    this.loop.mark();
  }

  private everyNowAndThen(): void {
    if (!this.entered || !mustReload(this.model.quote, Date.now())) return;
    this.model.quote = { ...this.model.quote, holeSince: Date.now() };
    void this.channel.reload();
  }

  // ---- what the person does

  private commit(field: string, value: Json): void {
    const { edits, quote } = this.model;
    if (!edits.drafts.has(field)) return;
    this.change(own.commit(edits, quote.quote, field, value, crypto.randomUUID()));
  }

  private focus(field: string | null, typing: boolean): void {
    const now = Date.now();
    if (typing && field === this.focused && now - this.typedAt < TYPING_EVERY_MS) return;
    if (typing) this.typedAt = now;
    this.focused = field;
    if (this.view.mayEdit) this.channel.focus(field, typing);
  }

  private change(edits: own.Edits): void {
    this.model.edits = edits;
    this.send();
    this.keep();
    this.loop.mark();
  }

  private keep(): void {
    const kept = this.model.closed === null ? keep(this.model.edits, this.model.username) : null;
    if (kept === null) sessionStorage.removeItem(this.keptAt);
    else sessionStorage.setItem(this.keptAt, kept);
  }

  // ---- what is sent

  private send(): void {
    clearTimeout(this.dueTimer);
    const { model } = this;
    if (!this.entered || model.quote.quote === null || model.link.kind !== "live") return;
    for (const edit of own.due(model.edits, Date.now())) {
      model.edits = own.sent(model.edits, edit.opId);
      // Before it is on its way: it may be stored, and this page gone, before anything else happens here.
      this.keep();
      void this.deliver(edit);
    }
    const at = own.dueAt(model.edits);
    if (at !== null) this.dueTimer = setTimeout(() => this.send(), Math.max(10, at - Date.now()));
    this.loop.mark();
  }

  private async deliver(edit: own.Edit): Promise<void> {
    try {
      const data = await this.channel.edit(edit);
      const revision = isObject(data) && typeof data["revision"] === "number" ? data["revision"] : edit.base;
      this.change(own.done(this.model.edits, this.model.quote.quote, edit.opId, revision));
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      this.failed(edit, error);
    }
  }

  private failed(edit: own.Edit, error: ClientError): void {
    const { edits } = this.model;
    const theirs = error.code === "conflict" ? readTheirs(error.details) : null;
    if (theirs !== null) this.change(own.settle(own.conflicted(edits, edit.opId, theirs), this.model.quote.quote));
    else if (error.kind === "unsent") this.change(own.unsent(edits, edit.opId));
    else if (error.kind !== "refused" || error.temporary) {
      this.change(own.doubt(edits, edit.opId, Date.now(), error.retryAfterMs));
    } else {
      if (FORBIDDEN.has(error.code)) this.model.editRefused = true;
      this.change(own.refused(edits, edit.opId, reasonOf(error, edit.field)));
    }
  }

  private paletteItems(): Item[] {
    const kind = t("palette.kind.action");
    const press = (name: string): void => find<HTMLButtonElement>(document, `[data-part="${name}"]`).click();
    const shown = (name: string): boolean => {
      const button = part<HTMLButtonElement>(document, name);
      return !button.hidden && !button.disabled;
    };
    const fields = [...this.specs.keys()].map((name) => ({
      kind: t("palette.kind.field"),
      name: fieldLabel(name, this.specs),
      run: () => this.view.focusField(name),
    }));
    const actions = [
      ...(shown("calculate") ? [{ kind, name: t("quote.calculate"), run: () => press("calculate") }] : []),
      ...(shown("bind") ? [{ kind, name: t("quote.bind"), run: () => press("bind") }] : []),
    ];
    return [...actions, ...fields];
  }
}

function premiumIsShown({ quote }: QuoteModel): boolean {
  return quote?.quote.premium !== undefined;
}

/** The server's reason for this field, or its sentences. */
function reasonOf(error: ClientError, field: string): string {
  const { fields, reasons } = isObject(error.details) ? error.details : {};
  const text = isObject(fields) ? fields[field] : undefined;
  if (typeof text === "string") return reasonWords({ text, why: isObject(reasons) ? reasons[field] : null });
  return errorWords({ code: error.code, sentences: [error.message, error.requiredAction] });
}
