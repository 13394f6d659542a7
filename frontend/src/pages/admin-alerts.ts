/** The page of alerts: a live list over the operators' API. */
import "../styles/app.scss";
import "../styles/lists.scss";
import "../styles/alerts.scss";
import { ADDRESS, AlertsPage, SHAPE } from "../ui/alerts-page";
import { keepIcons } from "../ui/favicon";
import { openPage, takesOfList } from "../ui/open-page";

openPage(() => new AlertsPage().start(), takesOfList(SHAPE, ADDRESS));
void keepIcons();
