/** The page of users: a live list over the operators' API. */
import "../styles/app.scss";
import "../styles/lists.scss";
import "../styles/people.scss";
import { keepIcons } from "../ui/favicon";
import { UsersPage, SHAPE } from "../ui/users-page";
import { openPage, takesOfList } from "../ui/open-page";

openPage(() => new UsersPage().start(), takesOfList(SHAPE));
void keepIcons();
