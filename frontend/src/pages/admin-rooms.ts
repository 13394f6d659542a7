/** The page of rooms: a live list over the operators' API. */
import "../styles/app.scss";
import "../styles/lists.scss";
import { keepIcons } from "../ui/favicon";
import { RoomsPage } from "../ui/rooms-page";

new RoomsPage().start();
void keepIcons();
