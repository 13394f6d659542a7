/**
 * Hears of alerts while they happen. It must not know what is shown of them. Source: docs/protocol.md, `admin_alert`.
 */
import type { AlertRow } from "./alerts-api";
import { OneClient } from "./one-client";

export interface AdminAlert {
  readonly event: "opened" | "resolved" | "acknowledged" | "held_back" | "unwatched";
  readonly timestamp: number;
  readonly open: number;
  readonly alert: AlertRow | null;
  readonly heldBack: number;
  readonly since: number | null;
}

export class AlertsChannel {
  private readonly hub: OneClient;

  constructor(url: string, heard: (alert: AdminAlert) => void) {
    this.hub = new OneClient(url, {
      onNote: (kind, fields) => {
        if (kind === "admin_alert") heard(toAlert(fields));
      },
    });
  }

  open(): void {
    this.hub.open();
  }

  close(): void {
    this.hub.close();
  }

  retryNow(): void {
    this.hub.retryNow();
  }
}

function toAlert(fields: Readonly<Record<string, unknown>>): AdminAlert {
  const number = (name: string): number | null => {
    const value = fields[name];
    return typeof value === "number" ? value : null;
  };
  return {
    event: fields["event"] as AdminAlert["event"],
    timestamp: number("timestamp") ?? 0,
    open: number("open") ?? 0,
    alert: (fields["alert"] as AlertRow | undefined) ?? null,
    heldBack: number("held_back") ?? 0,
    since: number("since"),
  };
}
