/** Figures over quotes and over the platform's work. */
import "../styles/app.scss";
import "../styles/analytics.scss";
import "uplot/dist/uPlot.min.css";
import { AnalyticsPage } from "../ui/analytics-page";
import { keepIcons } from "../ui/favicon";
import { openPage } from "../ui/open-page";
import { analyticsTakes } from "../state/analytics";

openPage(() => new AnalyticsPage().start(), analyticsTakes(location.search));
void keepIcons();
