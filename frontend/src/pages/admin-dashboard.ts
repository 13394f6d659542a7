/** The page of dashboards: widgets that an operator composes. */
import "../styles/app.scss";
import "../styles/dashboards.scss";
import "uplot/dist/uPlot.min.css";
import { DashboardPage } from "../ui/dashboard-page";
import { keepIcons } from "../ui/favicon";
import { openPage } from "../ui/open-page";

openPage(() => new DashboardPage().start(), { names: { dashboard: "any", node: "any" } });
void keepIcons();
