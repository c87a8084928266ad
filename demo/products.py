"""The products of the demo, the same in every run."""

from dataclasses import dataclass
from decimal import Decimal
from random import Random

SEED = 42
PRODUCTS_PER_THING = 5
PRICE_SPREAD = (0.7, 1.8)  # of the thing's usual price


@dataclass(frozen=True, slots=True)
class Department:
    """A category of products. `things` maps the kind of a product to its usual price in euros and a selling point."""

    category: str
    makers: tuple[str, ...]
    styles: tuple[str, ...]
    things: dict[str, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Category:
    """A category. `parent` is the identifier of the one above it, empty at the top."""

    id: str
    title: str
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Product:
    """A product. The price is in euros."""

    title: str
    description: str
    category: str
    price: Decimal
    additional_categories: tuple[str, ...] = ()


GIFTS = "gifts"
GIFT_PRICE_MAX = Decimal(20)

CATEGORIES = (
    Category("home", "Home"),
    Category("kitchen", "Kitchen", "home"),
    Category("coffee-and-tea", "Coffee and tea", "kitchen"),
    Category("home-textiles", "Home textiles", "home"),
    Category("lighting", "Lighting", "home"),
    Category("bath-and-body", "Bath and body", "home"),
    Category("outside", "Outside"),
    Category("garden-tools", "Garden tools", "outside"),
    Category("cycling", "Cycling", "outside"),
    Category("outdoors", "Outdoors", "outside"),
    Category("play-and-write", "Play and write"),
    Category("stationery", "Stationery", "play-and-write"),
    Category("toys", "Toys", "play-and-write"),
    Category(GIFTS, "Small gifts"),
)
"""The tree of categories, each after the one above it."""

DEPARTMENTS = (
    Department(
        "garden-tools",
        ("Hollin & Finch", "Marlgate", "Green Acre", "Thornbury"),
        ("ash handle", "stainless steel", "left-handed", "long reach", "heritage", "lightweight"),
        {
            "Border Spade": (42, "turns heavy soil without a sore back"),
            "Hand Fork": (16, "loosens weeds between the rows"),
            "Pruning Shears": (29, "cuts stems as thick as a thumb in one go"),
            "Watering Can": (24, "pours like rain and does not drip"),
            "Leaf Rake": (31, "sweeps a lawn clean in an afternoon"),
            "Bulb Planter": (19, "lifts a neat plug of earth"),
        },
    ),
    Department(
        "kitchen",
        ("Copperfield", "Oslo Table", "Brasserie Nord", "Plain & Good"),
        ("small", "large", "cast iron", "matt black", "induction", "everyday"),
        {
            "Saucepan": (48, "heats evenly up to the rim"),
            "Bread Knife": (34, "goes through crust without crumbs"),
            "Mixing Bowl": (18, "stands firmly while you whisk"),
            "Pepper Mill": (27, "grinds from dust to coarse"),
            "Chopping Board": (36, "is kind to blades"),
            "Baking Tin": (15, "lets go of every cake"),
        },
    ),
    Department(
        "coffee-and-tea",
        ("Third Crack", "Harbour Roasters", "Leaf & Letter", "Morning Post"),
        ("for one", "for four", "glass", "travel size", "double-walled", "ceramic"),
        {
            "Pour-over Dripper": (22, "brews a clear cup in three minutes"),
            "Hand Grinder": (64, "grinds evenly, and quietly enough for five in the morning"),
            "Teapot": (39, "pours without a tear on the table"),
            "Milk Jug": (17, "shows how to pour a heart"),
            "French Press": (33, "asks for nothing but water and patience"),
            "Espresso Cup": (12, "keeps warm to the last sip"),
        },
    ),
    Department(
        "stationery",
        ("Folio", "Inkwell & Sons", "Paper Lane", "Kite"),
        ("dotted", "ruled", "plain", "pocket size", "refillable", "recycled"),
        {
            "Notebook": (14, "lies flat on every page"),
            "Fountain Pen": (52, "writes at first touch after a month in a drawer"),
            "Desk Pad": (28, "holds a week at a glance"),
            "Pencil Case": (16, "swallows more than it seems to"),
            "Letter Set": (19, "makes people write back"),
            "Wall Planner": (21, "shows the year that you meant to have"),
        },
    ),
    Department(
        "cycling",
        ("Velo Nord", "Switchback", "Tandem & Co", "Freewheel"),
        ("reflective", "city", "touring", "winter", "ultralight", "waterproof"),
        {
            "Pannier": (74, "carries a week's shopping up a hill"),
            "Bell": (13, "is heard and still sounds friendly"),
            "Multi-tool": (36, "opens every bolt of a bicycle"),
            "Rear Light": (29, "is seen from half a kilometre"),
            "Mudguard Set": (44, "keeps your back dry in November"),
            "Floor Pump": (49, "reaches eight bar without standing on it"),
        },
    ),
    Department(
        "outdoors",
        ("Fjell", "Basecamp Nine", "Larch", "Far Field"),
        ("two-person", "down", "three-season", "packable", "summit", "family"),
        {
            "Tent": (289, "stands in ten minutes, in wind too"),
            "Sleeping Bag": (149, "is warm down to minus five"),
            "Camp Stove": (68, "boils a litre in four minutes"),
            "Head Torch": (39, "lights the whole path and not only your feet"),
            "Water Bottle": (23, "survives a fall from a cliff"),
            "Dry Bag": (27, "keeps its promise in a canoe"),
        },
    ),
    Department(
        "home-textiles",
        ("Loom & Light", "Wool Street", "Sønder", "Quiet House"),
        ("linen", "wool", "cotton", "indigo", "natural", "striped"),
        {
            "Throw": (79, "makes a sofa the best place of the house"),
            "Cushion Cover": (24, "can be washed, and washed again"),
            "Bath Towel": (32, "dries at once and is dry by evening"),
            "Bed Sheet": (69, "gets softer with every year"),
            "Table Runner": (38, "forgives red wine"),
            "Curtain": (94, "lets the morning in slowly"),
        },
    ),
    Department(
        "lighting",
        ("Lumen Works", "Filament", "Nordlys", "Halo & Hearth"),
        ("brass", "opal glass", "dimmable", "adjustable", "oak", "rechargeable"),
        {
            "Desk Lamp": (89, "stays where you put it"),
            "Pendant": (129, "lights the table and not the eyes"),
            "Floor Lamp": (179, "reads with you in the armchair"),
            "Night Light": (21, "is on when somebody small needs it"),
            "Candle Holder": (18, "catches every drop"),
            "Lantern": (45, "does not mind the rain"),
        },
    ),
    Department(
        "toys",
        ("Little Anvil", "Beech & Bear", "Zigzag", "Rainy Day"),
        ("wooden", "for two players", "first edition", "large", "travel", "classic"),
        {
            "Train Set": (59, "grows by a bridge every birthday"),
            "Building Blocks": (34, "become a castle, a zoo, a rocket"),
            "Jigsaw Puzzle": (19, "lasts one rainy weekend"),
            "Memory Game": (16, "is always won by the youngest"),
            "Kite": (28, "flies as soon as you run"),
            "Marble Run": (47, "is started once more, and once more"),
        },
    ),
    Department(
        "bath-and-body",
        ("Salt & Sage", "Blue Basin", "Apothecary Lane", "Tidal"),
        ("lavender", "cedar", "unscented", "sea salt", "rosemary", "orange"),
        {
            "Hand Soap": (9, "smells of holidays"),
            "Body Oil": (26, "is gone from the skin in a minute and not from the nose"),
            "Bath Salt": (17, "turns a Tuesday into a Sunday"),
            "Shaving Brush": (38, "makes foam enough for a beard"),
            "Face Cloth": (8, "is soft on both sides"),
            "Shampoo Bar": (12, "outlasts three bottles"),
        },
    ),
)


def products() -> list[Product]:
    """Returns all products. Their titles are unique."""
    random = Random(SEED)
    return [
        _product(random, department, thing, style)
        for department in DEPARTMENTS
        for thing in department.things
        for style in random.sample(department.styles, PRODUCTS_PER_THING)
    ]


def _product(random: Random, department: Department, thing: str, style: str) -> Product:
    maker = random.choice(department.makers)
    usual_price, purpose = department.things[thing]
    price = round(usual_price * random.uniform(*PRICE_SPREAD)) - random.choice(
        (Decimal("0.05"), Decimal("0.10"), Decimal(0))
    )
    return Product(
        title=f"{maker} {thing}, {style}",
        description=f"The {thing.lower()} by {maker} {purpose}. {style.capitalize()}.",
        category=department.category,
        price=price,
        additional_categories=(GIFTS,) if price <= GIFT_PRICE_MAX else (),
    )
