/** The streaming page: a watch list over the hub. */
import "../styles/app.scss";
import "../styles/streaming.scss";
import { keepIcons } from "../ui/favicon";
import { StreamingPage } from "../ui/streaming-page";
import { openPage } from "../ui/open-page";

openPage(() => new StreamingPage().start(), { names: { symbols: "any" } });
void keepIcons();
