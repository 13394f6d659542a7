/** The page's entry; see ui/bans-page. */
import "../styles/app.scss";
import "../styles/lists.scss";
import { BansPage, SHAPE } from "../ui/bans-page";
import { keepIcons } from "../ui/favicon";
import { openPage, takesOfList } from "../ui/open-page";

openPage(() => new BansPage().start(), takesOfList(SHAPE));
void keepIcons();
