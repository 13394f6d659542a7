/** The page's entry; see ui/connection-page. */
import "uplot/dist/uPlot.min.css";
import "../styles/app.scss";
import "../styles/lists.scss";
import "../styles/closeup.scss";
import { ConnectionPage } from "../ui/connection-page";
import { keepIcons } from "../ui/favicon";
import { openPage } from "../ui/open-page";

openPage(() => new ConnectionPage().start());
void keepIcons();
