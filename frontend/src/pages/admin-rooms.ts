/** The page of rooms: a live list over the operators' API. */
import "../styles/app.scss";
import "../styles/lists.scss";
import { keepIcons } from "../ui/favicon";
import { RoomsPage, SHAPE } from "../ui/rooms-page";
import { openPage, takesOfList } from "../ui/open-page";

openPage(() => new RoomsPage().start(), takesOfList(SHAPE));
void keepIcons();
