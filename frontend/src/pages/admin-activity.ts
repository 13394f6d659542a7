/** The activity log: live over the hub's socket. */
import "../styles/app.scss";
import "../styles/lists.scss";
import "../styles/people.scss";
import { ActivityPage, ADDRESS, SHAPE } from "../ui/activity-page";
import { keepIcons } from "../ui/favicon";
import { openPage, takesOfList } from "../ui/open-page";

openPage(() => new ActivityPage().start(), takesOfList(SHAPE, ADDRESS));
void keepIcons();
