/**
 * The list of quotes: asked for page by page with the filter in the address, asked again while it is looked at. It must
 * not know a quote's form.
 */
import { isRefusedQuestion } from "../socket/admin-api";
import { hubUrl } from "../socket/market-channel";
import { ApiError, listQuotes, type Page } from "../socket/quotes-api";
import { QuotesChannel } from "../socket/quotes-channel";
import { askedIn } from "../state/address";
import {
  addressOf,
  filterOf,
  isFiltered,
  type ListFilter,
  NO_FILTER,
  queryOf,
  withoutChip,
} from "../state/quote-filter";
import { STATUSES } from "../state/quote-wire";
import { type Banner, Banners } from "./banners";
import { find, part, setAttribute, setHidden, setText } from "./dom";
import { startFrame } from "./frame";
import { LinkPill } from "./link-pill";
import { Loop } from "./loop";
import { NewQuote } from "./new-quote";
import type { Item } from "./palette";
import { drawChips } from "./quote-chips";
import { QuoteRows } from "./quote-rows";
import { failureWords } from "./quote-words";
import { clock, count, span, t, word } from "./text";
import { followPage } from "./network.ts";

/** Without news from the socket: enough to trust at a glance, and cheap. */
const EVERY_MS = 5_000;
/** With it: in case that some news was lost. */
const EVERY_TOLD_MS = 30_000;
/** Everybody's list is told at the same moment; not everybody asks at the same. */
const SPREAD_MS = 300;
/** However often something changes. */
const PAUSE_MS = 1_000;
const TYPING_MS = 300;

export class QuotesPage {
  private readonly loop = new Loop();
  private readonly banners = new Banners(part(document, "banners"));
  private readonly pill = new LinkPill();
  private readonly rows = new QuoteRows();
  private readonly fresh = new NewQuote();
  private readonly search = find<HTMLInputElement>(document, "#qs-search");
  private readonly state = find<HTMLSelectElement>(document, "#qs-state");
  private readonly clockOffset = Number(part(document, "list").dataset["serverTime"]) - Date.now() / 1000;
  private filter: ListFilter = filterOf(location.search);
  /** Cursors of the pages before this one; kept by the browser with the address. */
  private trail: readonly (string | null)[] = trailOf(history.state);
  private page: Page | null = null;
  private takenAt = 0;
  private failure: ApiError | null = null;
  private failedAt: number | null = null;
  private retryAt = 0;
  private asked = 0;
  private told = false;
  /** Something has changed since the last question. */
  private stale = false;
  private due: ReturnType<typeof setTimeout> | undefined;
  private readonly channel = new QuotesChannel(hubUrl(location), {
    changed: () => this.changed(),
    told: (told) => {
      this.told = told;
    },
  });
  private typing: ReturnType<typeof setTimeout> | undefined;

  start(): void {
    startFrame({
      items: () => this.paletteItems(),
      key: (event) => this.onKey(event),
      zoneChanged: () => {
        this.showFilter();
        this.loop.mark();
      },
    });
    this.wireFilter();
    part(document, "next").addEventListener("click", () => this.turn(1));
    part(document, "previous").addEventListener("click", () => this.turn(-1));
    part(document, "clear").addEventListener("click", () => this.choose(NO_FILTER));
    window.addEventListener("popstate", (event) => {
      this.filter = filterOf(location.search);
      this.trail = trailOf(event.state);
      this.showFilter();
      void this.load();
    });
    setInterval(() => this.everyNowAndThen(), 1_000);
    window.addEventListener("online", () => {
      this.channel.retryNow();
      void this.load();
    });
    document.addEventListener("visibilitychange", () => this.changed(this.stale));
    followPage(this.channel);
    this.channel.open();
    this.showFilter();
    void this.fillStates();
    this.loop.add(() => this.draw());
    this.loop.start();
    void this.load();
  }

  private wireFilter(): void {
    this.search.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.choose({ ...this.filter, search: this.search.value.trim() }), TYPING_MS);
    });
    part(document, "filter").addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(this.typing);
      this.choose({ ...this.filter, search: this.search.value.trim() });
    });
    this.state.addEventListener("change", () => this.choose({ ...this.filter, state: this.state.value }));
    for (const button of this.statusButtons()) {
      button.addEventListener("click", () => {
        const status = button.dataset["status"] ?? "";
        const { statuses } = this.filter;
        const next = statuses.includes(status) ? statuses.filter((one) => one !== status) : [...statuses, status];
        this.choose({ ...this.filter, statuses: next });
      });
    }
  }

  private statusButtons(): HTMLButtonElement[] {
    return [...part(document, "filter").querySelectorAll<HTMLButtonElement>("button[data-status]")];
  }

  private async fillStates(): Promise<void> {
    const states = await this.rows.states(this.fresh);
    const there = new Set([...this.state.options].map((option) => option.value));
    for (const value of states) if (!there.has(value)) this.state.append(new Option(value, value));
    this.showFilter();
  }

  /** A new filter begins on the first page. */
  private choose(filter: ListFilter): void {
    this.filter = { ...filter, after: null };
    this.trail = [];
    history.replaceState(null, "", addressOf(location.pathname, this.filter));
    this.showFilter();
    void this.load();
  }

  private turn(by: 1 | -1): void {
    if (by === 1) {
      const next = this.page?.next ?? null;
      if (next === null) return;
      this.trail = [...this.trail, this.filter.after];
      this.filter = { ...this.filter, after: next };
    } else {
      this.filter = { ...this.filter, after: this.trail.at(-1) ?? null };
      this.trail = this.trail.slice(0, -1);
    }
    history.pushState({ trail: this.trail }, "", addressOf(location.pathname, this.filter));
    void this.load().then(() => this.rows.focusFirst());
  }

  private everyNowAndThen(): void {
    if (document.hidden) return;
    const every = this.told && this.failure === null ? EVERY_TOLD_MS : EVERY_MS;
    if (Date.now() < Math.max(this.retryAt, this.takenAt + every)) return;
    void this.load();
  }

  /** Asks again soon, but not while nobody looks, and not faster than one can read. */
  private changed(stale = true): void {
    this.stale = stale;
    if (!stale || document.hidden || this.due !== undefined) return;
    const waitMs = Math.max(0, this.takenAt + PAUSE_MS - Date.now()) + Math.random() * SPREAD_MS;
    this.due = setTimeout(() => {
      this.due = undefined;
      if (this.stale && !document.hidden) void this.load();
    }, waitMs);
  }

  /** Only the newest question's answer counts. */
  private async load(): Promise<void> {
    const mine = ++this.asked;
    this.stale = false;
    this.retryAt = Date.now() + EVERY_MS;
    try {
      const page = await listQuotes(queryOf(this.filter));
      if (mine !== this.asked) return;
      [this.page, this.failure, this.failedAt, this.takenAt] = [page, null, null, Date.now()];
      this.fresh.allow(page.may_create);
      // Who may see the list may be told of it: a socket that ended for want of that is tried again.
      this.channel.open();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (mine !== this.asked) return;
      this.failure = error;
      this.failedAt ??= Date.now();
      // What somebody may no longer see does not stay on the screen.
      if (error.status === 401 || error.status === 403) {
        this.page = null;
        this.fresh.allow(false);
      }
    }
    this.loop.mark();
  }

  // ---- drawing

  private showFilter(): void {
    if (document.activeElement !== this.search) this.search.value = this.filter.search;
    const { state } = this.filter;
    if (![...this.state.options].some((option) => option.value === state)) this.state.append(new Option(state, state));
    this.state.value = state;
    for (const button of this.statusButtons()) {
      setAttribute(button, "aria-pressed", String(this.filter.statuses.includes(button.dataset["status"] ?? "")));
    }
    drawChips(part(document, "chips"), this.filter, (chip) => this.choose(withoutChip(this.filter, chip)));
  }

  private draw(): void {
    const { page } = this;
    setAttribute(part(document, "list"), "aria-busy", String(page === null && this.failure === null));
    setHidden(part(document, "skeleton"), page !== null || this.failure !== null);
    setHidden(part(document, "table"), page === null || page.quotes.length === 0);
    setHidden(part(document, "pages"), page === null);
    this.rows.draw(page?.quotes ?? [], Date.now() / 1000 + this.clockOffset);
    for (const status of STATUSES) setText(find(document, `[data-count="${status}"]`), count(page?.counts[status]));
    this.drawEmpty();
    this.drawPages();
    this.drawLink();
  }

  private drawEmpty(): void {
    const empty = this.page !== null && this.page.quotes.length === 0;
    setHidden(part(document, "empty"), !empty);
    if (!empty) return;
    const filtered = isFiltered(this.filter);
    setText(part(document, "empty-title"), filtered ? t("quotes.empty.filtered") : t("quotes.empty"));
    const first = this.fresh.allowed ? t("quotes.empty.words") : t("quotes.empty.reader");
    setText(part(document, "empty-words"), filtered ? t("quotes.empty.filtered.words") : first);
    setHidden(part(document, "clear"), !filtered);
  }

  private drawPages(): void {
    const { page, filter } = this;
    part<HTMLButtonElement>(document, "next").disabled = page?.next == null;
    part<HTMLButtonElement>(document, "previous").disabled = filter.after === null;
    const counted = filter.statuses.length === 0 ? STATUSES : filter.statuses;
    const total = counted.reduce((sum, status) => sum + (page?.counts[status] ?? 0), 0);
    const shown = t("quotes.sum", { shown: count(page?.quotes.length), total: count(total) });
    setText(part(document, "sum"), page === null ? "" : shown);
  }

  private drawLink(): void {
    const { failure, failedAt, retryAt } = this;
    const ended = failure?.status === 401 || failure?.status === 403;
    const refused = failure !== null && isRefusedQuestion(failure.status);
    const failing = ended ? "ended" : refused ? "live" : "waiting";
    const kind = failure !== null ? failing : this.page === null ? "connecting" : "live";
    this.pill.draw({ kind, downSince: failedAt, retryAt, offline: !navigator.onLine }, "ok");
    if (failure === null) {
      this.banners.draw([]);
      return;
    }
    if (refused) {
      this.banners.draw([this.refusedBanner(failure)]);
      return;
    }
    const leftS = Math.ceil((retryAt - Date.now()) / 1000);
    const again = ended || leftS <= 0 ? "" : ` ${t("quotes.failed.next", { span: span(leftS) })}`;
    const here = encodeURIComponent(location.pathname + location.search);
    const action =
      failure.status === 401
        ? { label: t("banner.login"), testid: "login-again", href: `/login?next=${here}` }
        : { label: t("banner.retry"), testid: "retry-now", run: () => void this.load() };
    this.banners.draw([
      {
        key: failure.status === 403 ? "forbidden" : "failed",
        tone: ended ? "error" : "warn",
        title: t("quotes.failed", { time: clock((failedAt ?? 0) / 1000) }),
        text: failureWords(failure) + again,
        actions: [action],
      },
    ]);
  }

  /** The address asks for what cannot be: said with all that it asks for, since no field may be able to show it. */
  private refusedBanner(failure: ApiError): Banner {
    const asked = t("address.asked", { asked: askedIn(queryOf(this.filter)) });
    const clear = { label: t("quotes.clear"), testid: "refused-clear", run: () => this.choose(NO_FILTER) };
    const title = t("quotes.refused");
    return { key: "refused", tone: "error", title, text: `${asked} ${failureWords(failure)}`, actions: [clear] };
  }

  // ---- keys and palette

  private onKey(event: KeyboardEvent): boolean {
    if (event.key === "/") this.search.focus();
    else if (event.key.toLowerCase() === "n" && this.fresh.allowed) this.fresh.open();
    else return false;
    return true;
  }

  private paletteItems(): Item[] {
    const kind = t("palette.kind.action");
    const { fresh } = this;
    const statuses = STATUSES.map((status) => ({
      kind,
      name: t("quotes.only", { status: word("quote.status", status) }),
      run: () => this.choose({ ...NO_FILTER, statuses: [status] }),
    }));
    const quotes = (this.page?.quotes ?? []).map((row) => ({
      kind: t("palette.kind.quote"),
      name: row.customer_name,
      more: `${row.vehicle} ${row.state}`,
      run: () => location.assign(`/quotes/${row.id}`),
    }));
    const made = !fresh.allowed ? [] : [{ kind, name: t("quotes.new"), run: () => fresh.open() }];
    return [...made, ...statuses, { kind, name: t("quotes.clear"), run: () => this.choose(NO_FILTER) }, ...quotes];
  }
}

function trailOf(state: unknown): (string | null)[] {
  const trail = typeof state === "object" && state !== null && "trail" in state ? state.trail : [];
  return Array.isArray(trail) ? trail.map((one) => (typeof one === "string" ? one : null)) : [];
}
