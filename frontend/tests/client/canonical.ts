/** Writes an action as the recorded cases do: snake case, and messages as objects. */
import type { Action, Failure, RoomEvent } from "../../src/client/event.ts";
import type { Json } from "../../src/client/wire.ts";

export function canonical(action: Action): Json {
  switch (action.do) {
    case "send":
      return { do: "send", message: JSON.parse(action.text) as Json };
    case "deliver":
      return { do: "deliver", event: event(action.event) };
    case "room_entered": {
      const { recovered, epoch, offset } = action;
      return { do: "room_entered", room_id: action.roomId, recovered, epoch, offset };
    }
    case "room_ended":
      return { do: "room_ended", room_id: action.roomId, error: failure(action.error) };
    case "settle":
      return { do: "settle", op: action.op, data: action.data, error: failure(action.error) };
    case "link":
      return { do: "link", link: snake(action.link) };
    default:
      return plain(action);
  }
}

function event(event: RoomEvent): Json {
  return snake(event);
}

function failure(value: Failure | null): Json {
  return value === null ? null : snake(value);
}

/** Renames the members of the outermost object; what is inside comes from the wire and is in snake case already. */
function snake(value: object): Json {
  const renamed = Object.entries(value).map(([name, member]) => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    member as Json,
  ]);
  return plain(Object.fromEntries(renamed) as object);
}

function plain(value: object): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}
