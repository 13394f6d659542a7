/** The page of connections: a live list over the operators' API. */
import "../styles/app.scss";
import "../styles/lists.scss";
import { ConnectionsPage, SHAPE } from "../ui/connections-page";
import { keepIcons } from "../ui/favicon";
import { openPage, takesOfList } from "../ui/open-page";

openPage(() => new ConnectionsPage().start(), takesOfList(SHAPE));
void keepIcons();
