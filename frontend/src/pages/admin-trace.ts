/** The page's entry; see ui/trace-page. */
import "../styles/app.scss";
import "../styles/lists.scss";
import "../styles/closeup.scss";
import { TracePage, traceTakes } from "../ui/trace-page";
import { keepIcons } from "../ui/favicon";
import { openPage } from "../ui/open-page";

openPage(() => new TracePage().start(), traceTakes(location.search));
void keepIcons();
