/** The page of connections: a live list over the operators' API. */
import "../styles/app.scss";
import "../styles/lists.scss";
import { ConnectionsPage } from "../ui/connections-page";
import { keepIcons } from "../ui/favicon";

new ConnectionsPage().start();
void keepIcons();
