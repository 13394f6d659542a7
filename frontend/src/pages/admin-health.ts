/** The health page. */
import "uplot/dist/uPlot.min.css";
import "../styles/app.scss";
import "../styles/lists.scss";
import "../styles/vitals.scss";
import { keepIcons } from "../ui/favicon";
import { HealthPage } from "../ui/health-page";
import { openPage } from "../ui/open-page";

openPage(() => new HealthPage().start());
void keepIcons();
