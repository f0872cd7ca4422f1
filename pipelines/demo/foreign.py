"""Pages in other languages: short travel and town notes built from sentences written for this project.

Each language has sentences with three open places, and words to fill them that need no inflection. A page takes every
sentence once, in an order and with words of its own.
"""

# ruff: noqa: RUF001 (the letters of other alphabets are meant)
from __future__ import annotations

from dataclasses import dataclass

from pipelines.demo.chance import Chance


@dataclass(frozen=True)
class Language:
    """Material for one language. charsets: encodings its pages are served in, besides UTF-8."""

    code: str
    charsets: tuple[str, ...]
    joint: str
    places: tuple[str, ...]
    things: tuple[str, ...]
    people: tuple[str, ...]
    sentences: tuple[str, ...]


LANGUAGES = (
    Language("de", ("iso-8859-1", "windows-1252"), " ",
             ("Lindau", "Görlitz", "Passau", "Freiburg", "Lübeck", "Weimar", "Münster", "Erfurt"),
             ("Brot", "Käse", "Honig", "Kuchen", "Suppe", "Apfelsaft", "Marmelade", "Gemüse"),
             ("Frau Schäfer", "Herr Krüger", "meine Schwester", "unser Nachbar", "Familie Böhm", "die alte Müllerin"),
             ("Am frühen Morgen fuhren wir mit dem Zug nach {place} und suchten zuerst ein ruhiges Café am Fluss.",
              "In {place} gibt es einen kleinen Markt, auf dem man frisches Obst, Blumen und {thing} kaufen kann.",
              "Dort trafen wir {person}, und wir sprachen lange über das Wetter und über die Geschichte der Stadt.",
              "Die Straßen waren noch leer, nur vor der Bäckerei standen schon einige Leute und warteten auf {thing}.",
              "Später erzählte uns {person}, dass die Brücke im letzten Winter repariert worden ist.",
              "Wer nach {place} kommt, sollte unbedingt das Museum besuchen, denn der Eintritt kostet fast nichts.",
              "Zum Mittagessen bestellten wir {thing} und einen großen Salat, und alles schmeckte ausgezeichnet.",
              "Am Abend gingen wir müde, aber zufrieden zurück zum Bahnhof und versprachen, bald wiederzukommen.")),
    Language("fr", ("iso-8859-15", "windows-1252"), " ",
             ("Annecy", "Colmar", "Nîmes", "Saint-Malo", "Besançon", "Orléans", "Chambéry", "Béziers"),
             ("pain", "fromage", "miel", "thé", "poisson", "chocolat", "beurre salé", "café"),
             ("Madame Lefèvre", "mon frère", "le vieux pêcheur", "notre voisine", "Monsieur Gérard", "la boulangère"),
             ("Nous sommes arrivés à {place} un peu avant midi, et il faisait déjà très chaud dans les ruelles.",
              "Le marché de {place} est connu dans toute la région, surtout pour ses légumes et ses fleurs.",
              "C'est là que {person} nous a raconté comment la ville avait changé depuis son enfance.",
              "Nous avons acheté du {thing} et quelques fruits avant de nous asseoir à l'ombre des arbres.",
              "D'après {person}, la meilleure saison pour visiter le château est le début de l'automne.",
              "On trouve aussi du {thing} dans la petite boutique qui se cache derrière l'église.",
              "Près de {place}, un sentier suit la rivière et mène à une ancienne maison entourée de vignes.",
              "Le soir, nous avons écouté de la musique sur la place avant de rentrer, fatigués mais heureux.")),
    Language("es", ("iso-8859-1", "windows-1252"), " ",
             ("Cáceres", "Ronda", "Gijón", "Teruel", "Cádiz", "León", "Jaén", "Lugo"),
             ("pan", "queso", "aceite", "jamón", "chocolate", "vino", "pescado", "arroz"),
             ("doña Carmen", "mi abuelo", "el panadero", "nuestra vecina", "la señora Núñez", "un viejo amigo"),
             ("Llegamos a {place} por la mañana y lo primero que hicimos fue buscar un sitio para desayunar.",
              "En la plaza mayor de {place} hay una fuente muy antigua donde los niños juegan todas las tardes.",
              "Allí conocimos a {person}, que nos explicó la historia del barrio con mucha paciencia.",
              "Compramos {thing} y algunas naranjas en el mercado, y después caminamos hasta el río.",
              "Según {person}, el puente se construyó hace más de cien años y todavía se usa a diario.",
              "Para comer pedimos {thing} con verduras, y el camarero nos recomendó también un postre casero.",
              "Si algún día visitan {place}, no dejen de subir a la torre, porque la vista es maravillosa.",
              "Al anochecer volvimos a la estación, cansados pero contentos, y prometimos regresar el próximo año.")),
    Language("it", ("iso-8859-1", "windows-1252"), " ",
             ("Lucca", "Matera", "Trieste", "Orvieto", "Mantova", "Forlì", "Cefalù", "Bergamo"),
             ("pane", "formaggio", "olio", "miele", "vino", "pesce", "gelato", "caffè"),
             ("la signora Rossi", "mio zio", "il vecchio libraio", "la guida", "un giovane pittore", "mia nonna"),
             ("Siamo arrivati a {place} nel primo pomeriggio, quando le strade erano ancora quasi deserte.",
              "Il centro di {place} è piccolo, ma ci sono molte chiese e botteghe che meritano una visita.",
              "Davanti al teatro abbiamo incontrato {person}, e insieme abbiamo preso qualcosa da bere.",
              "Nella bottega all'angolo vendono {thing} e verdura fresca che arriva ogni giorno dalla campagna.",
              "Come ci ha spiegato {person}, la torre è stata restaurata pochi anni fa con l'aiuto dei cittadini.",
              "A cena abbiamo mangiato molto bene, e il {thing} della casa era davvero eccellente.",
              "Chi passa da {place} dovrebbe fermarsi almeno due giorni, perché c'è moltissimo da vedere.",
              "Più tardi abbiamo passeggiato lungo le mura, parlando della giornata e dei nostri progetti.")),
    Language("pt", ("iso-8859-1", "windows-1252"), " ",
             ("Évora", "Braga", "Tomar", "Aveiro", "Viseu", "Guimarães", "Lagos", "Setúbal"),
             ("pão", "queijo", "mel", "azeite", "peixe", "arroz", "bacalhau", "café"),
             ("a dona Conceição", "o meu irmão", "o velho pescador", "a nossa vizinha", "o senhor João", "um amigo"),
             ("Chegamos a {place} ainda de manhã, e o sol já brilhava sobre os telhados das casas antigas.",
              "No mercado de {place} é possível comprar frutas, legumes e flores por um preço muito razoável.",
              "Foi ali que {person} nos contou como era a vida na aldeia antes da construção da estrada.",
              "Levamos connosco um pouco de {thing} e algumas laranjas para comer junto ao rio.",
              "Segundo {person}, as festas do verão são a melhor altura para conhecer a região.",
              "Ao almoço pedimos {thing} com batatas, e a comida estava realmente muito boa.",
              "Quem visita {place} não deve perder a vista do castelo, sobretudo ao fim da tarde.",
              "À noite ouvimos música numa pequena praça e só voltamos para casa depois da meia-noite.")),
    Language("nl", ("iso-8859-15", "windows-1252"), " ",
             ("Deventer", "Zutphen", "Middelburg", "Leeuwarden", "Gouda", "Kampen", "Hoorn", "Veere"),
             ("brood", "kaas", "honing", "soep", "vis", "appeltaart", "chocolade", "thee"),
             ("mevrouw De Vries", "mijn oom", "de oude schipper", "onze buurvrouw", "een jonge bakker", "de molenaar"),
             ("We kwamen vroeg in de ochtend aan in {place} en zochten eerst een rustig plekje aan het water.",
              "Op de markt van {place} worden groente, bloemen en allerlei soorten noten verkocht.",
              "Daar ontmoetten we {person}, en we praatten nog een hele tijd over de geschiedenis van de stad.",
              "In een klein winkeltje achter de kerk kochten we {thing} en een paar ansichtkaarten.",
              "Volgens {person} is de haven de laatste jaren veel schoner en ook veel drukker geworden.",
              "Tussen de middag aten we {thing}, en daarna huurden we fietsen om de omgeving te bekijken.",
              "Wie naar {place} gaat, moet zeker het museum bezoeken, want het is gratis voor kinderen.",
              "Toen het begon te regenen, gingen we met de laatste trein terug naar huis, moe maar tevreden.")),
    Language("sv", ("iso-8859-1", "windows-1252"), " ",
             ("Visby", "Örebro", "Kalmar", "Umeå", "Växjö", "Sigtuna", "Ystad", "Härnösand"),
             ("bröd", "ost", "honung", "fisk", "soppa", "sylt", "choklad", "kaffe"),
             ("fru Lindström", "min syster", "den gamle fiskaren", "vår granne", "en ung lärare", "bagaren Åke"),
             ("Vi kom till {place} tidigt på morgonen och letade först efter ett lugnt ställe att äta frukost på.",
              "På torget i {place} säljer man frukt, blommor och grönsaker från gårdarna i närheten.",
              "Där träffade vi {person}, och vi pratade länge om hur staden har förändrats genom åren.",
              "I en liten affär bakom kyrkan köpte vi {thing} och några vykort att skicka hem.",
              "Enligt {person} är hösten den bästa tiden att besöka skogarna och sjöarna omkring staden.",
              "Till lunch åt vi {thing} med potatis, och allting smakade alldeles utmärkt.",
              "Den som reser till {place} borde också gå upp i tornet, för utsikten är verkligen vacker.",
              "När det blev mörkt gick vi tillbaka till stationen, trötta men mycket nöjda med dagen.")),
    Language("pl", ("iso-8859-2", "windows-1250"), " ",
             ("Toruń", "Kraków", "Gdańsk", "Zamość", "Lublin", "Opole", "Przemyśl", "Sopot"),
             ("chleb", "ser", "miód", "sok", "makowiec", "sernik", "dżem", "barszcz"),
             ("pan Kowalski", "mój brat", "stary rybak", "nasz sąsiad", "młody nauczyciel", "przewodnik"),
             ("Miasto {place} zobaczyliśmy wcześnie rano, kiedy ulice były jeszcze zupełnie puste i ciche.",
              "Na rynku można tam kupić świeże owoce, kwiaty oraz {thing} prosto od gospodarzy z okolicy.",
              "Przed ratuszem czekał już na nas {person} i długo opowiadał o historii tego miejsca.",
              "Potem kupiliśmy {thing} w małym sklepie, który znajduje się tuż za kościołem.",
              "Jak mówi {person}, najlepiej przyjechać tu jesienią, gdy liście na drzewach robią się złote.",
              "Obiad zjedliśmy w niewielkiej restauracji nad rzeką i wszystko bardzo nam smakowało.",
              "Kto lubi zabytki, ten powinien odwiedzić {place} i zostać tam przynajmniej przez dwa dni.",
              "Wieczorem wróciliśmy na dworzec zmęczeni, ale szczęśliwi, i obiecaliśmy, że jeszcze tu przyjedziemy.")),
    Language("ru", ("windows-1251", "koi8-r"), " ",
             ("Суздаль", "Псков", "Тверь", "Вологда", "Калуга", "Рязань", "Кострома", "Углич"),
             ("хлеб", "сыр", "мёд", "чай", "квас", "пирог", "варенье", "творог"),
             ("старый учитель", "наш сосед", "мой брат", "молодой художник", "местный врач", "один рыбак"),
             ("Город {place} встретил нас рано утром, когда на улицах ещё почти никого не было.",
              "На рынке здесь продают свежие овощи, цветы и {thing}, который делают в соседней деревне.",
              "Возле библиотеки нас ждал {person}, и мы долго разговаривали об истории этого города.",
              "Потом мы купили {thing} в маленьком магазине и пошли гулять вдоль реки.",
              "Как рассказал нам {person}, старый мост построили больше ста лет назад.",
              "Обедали мы в тихом кафе у воды, и всё, что нам принесли, было очень вкусно.",
              "Если вы любите старинные дома, обязательно посмотрите {place} и останьтесь там на несколько дней.",
              "Вечером мы вернулись на вокзал уставшие, но довольные, и решили приехать сюда снова.")),
    Language("ja", ("shift_jis", "euc-jp"), "",
             ("金沢", "松江", "倉敷", "函館", "長崎", "奈良", "鎌倉", "高山"),
             ("パン", "りんご", "お茶", "魚", "そば", "みかん", "豆腐", "お菓子"),
             ("田中さん", "私の姉", "近所のおじいさん", "若い先生", "宿の主人", "古い友人"),
             ("朝早く電車に乗って{place}へ行き、まず川のそばにある静かな喫茶店を探しました。",
              "{place}の市場では、新鮮な野菜や花、それから{thing}などを安く買うことができます。",
              "そこで{person}に会い、町の歴史や昔の暮らしについて長い間話を聞きました。",
              "そのあと小さな店で{thing}を買って、公園のベンチに座ってゆっくり食べました。",
              "{person}の話によると、この橋は百年以上前に作られたもので、今でも毎日使われているそうです。",
              "昼ごはんは古い食堂で食べましたが、どの料理もとてもおいしくて驚きました。",
              "{place}に来たら、ぜひ丘の上の寺まで歩いて、夕方の美しい景色を見てください。",
              "夜になって少し疲れましたが、とても楽しい一日だったので、また来年も来ようと約束しました。")),
    Language("zh", ("gb18030",), "",
             ("平江", "大同", "青州", "安吉", "黄山", "泉州", "昆山", "宜昌"),
             ("茶叶", "水果", "面包", "豆腐", "米酒", "花生", "点心", "牛奶"),
             ("王老师", "我的姐姐", "一位老朋友", "年轻的司机", "隔壁的老人", "李医生"),
             ("清晨我们坐火车来到{place}，先在河边找了一家安静的小店吃早饭。",
              "{place}的市场里可以买到新鲜的蔬菜、花和{thing}，价格也不贵。",
              "在那里我们遇到了{person}，大家一起谈了很久这个城市的历史和变化。",
              "后来我们在小店里买了一些{thing}，坐在公园的树下慢慢地吃。",
              "听{person}说，这座桥已经有一百多年了，现在每天还有很多人从上面走过。",
              "中午我们在一家老饭馆吃饭，每一道菜都非常好吃，老板也很热情。",
              "如果你有机会去{place}，一定要在傍晚的时候爬到山上看看风景。",
              "晚上我们虽然有点累，但是心里很高兴，都说明年还要再来一次。")),
    Language("ar", ("windows-1256", "iso-8859-6"), " ",
             ("طنجة", "صيدا", "فاس", "تونس", "حلب", "نابلس", "مراكش", "الإسكندرية"),
             ("الخبز", "الجبن", "العسل", "الشاي", "التمر", "السمك", "الزيتون", "القهوة"),
             ("صديقي القديم", "جارنا", "معلم المدرسة", "الطبيب الشاب", "صاحب المقهى", "أخي الكبير"),
             ("وصلنا إلى مدينة {place} في الصباح الباكر وكانت الشوارع ما زالت هادئة وشبه خالية.",
              "في سوق {place} يمكنك أن تشتري الخضار والفواكه و{thing} بأسعار مناسبة جدا.",
              "هناك التقينا مع {person} وتحدثنا طويلا عن تاريخ المدينة وعن حياة الناس فيها.",
              "بعد ذلك اشترينا {thing} من دكان صغير خلف المسجد وجلسنا تحت الأشجار قرب النهر.",
              "قال لنا {person} إن الجسر القديم بني قبل أكثر من مئة سنة وما زال الناس يعبرونه كل يوم.",
              "تناولنا الغداء في مطعم بسيط وكان الطعام لذيذا والخدمة ممتازة.",
              "من يزور {place} يجب أن يصعد إلى القلعة عند الغروب لأن المنظر من هناك رائع.",
              "وفي المساء عدنا إلى المحطة متعبين ولكن سعداء وقررنا أن نعود مرة أخرى في العام القادم.")),
)


def foreign_page(chance: Chance, number: int) -> tuple[Language, str, tuple[str, ...]]:
    """(language, title, paragraphs) of the number-th foreign page; the languages take turns."""
    language = LANGUAGES[number % len(LANGUAGES)]
    sentences = sorted(language.sentences, key=lambda s: chance.below("foreign order", f"{number}/{s}", 1 << 30))
    place = chance.one("foreign place", number, language.places)
    filled = []
    for index, sentence in enumerate(sentences):
        key = f"{number}/{index}"
        filled.append(sentence.format(place=place, thing=chance.one("foreign thing", key, language.things),
                                      person=chance.one("foreign person", key, language.people)))
    paragraphs = tuple(language.joint.join(filled[i : i + 3]) for i in range(0, len(filled), 3))
    thing = chance.one("foreign thing", number, language.things)
    person = chance.one("foreign person", number, language.people)
    return language, f"{place}: {thing}, {person}", paragraphs
