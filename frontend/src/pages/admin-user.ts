/** One user. */
import "../styles/app.scss";
import "../styles/lists.scss";
import "../styles/people.scss";
import { keepIcons } from "../ui/favicon";
import { UserPage } from "../ui/user-page";
import { openPage } from "../ui/open-page";

openPage(() => new UserPage().start());
void keepIcons();
