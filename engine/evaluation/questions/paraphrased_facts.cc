#include "engine/evaluation/questions/paraphrased_facts.h"

namespace tome {
namespace {

constexpr ParaphrasedFact kCalibrationFacts[kFactsInSet] = {
    {"The physician of the settlement kept a tame raven called Barnaby.", "What was the name of the doctor's pet bird?",
     "Barnaby"},
    {"Old Hendrick repaired timepieces in a cellar beneath Walnut Street.",
     "Where did the man who mended clocks have his workshop?", "Walnut Street"},
    {"The vessel Amaranta went down off the cape with a cargo of saffron.",
     "What goods were aboard the ship that sank?", "saffron"},
    {"Madame Orlova purchased her residence for nine hundred roubles.",
     "How much money did the lady pay for the house?", "nine hundred roubles"},
    {"The infant at the lighthouse was christened Thessaly.", "What name was given to the baby?", "Thessaly"},
    {"Corporal Dunning was slain at the ford of Ashwater.", "In which place did the soldier die?", "Ashwater"},
    {"The monarch dined every evening on boiled turnips.", "What food did the king eat for supper?", "boiled turnips"},
    {"Professor Quill is terrified of moths.", "Which insects frighten the teacher?", "moths"},
    {"The seamstress wed a Portuguese glazier in the spring.", "Who became the husband of the woman that made dresses?",
     "Portuguese glazier"},
    {"Ferdinand's fortune came from selling herring.", "Which trade made the rich merchant wealthy?", "herring"},
    {"The youth fled to Trieste after robbing the bank.", "To what city did the boy who stole the money escape?",
     "Trieste"},
    {"The attorney concealed the testament inside a hollow globe.", "Where did the lawyer hide the will?",
     "hollow globe"},
    {"The inn's proprietor is deaf in his left ear.", "What ailment does the landlord of the tavern have?", "deaf"},
    {"The blaze at the mill was started by a toppled lantern.", "What caused the factory fire?", "toppled lantern"},
    {"The gardener's automobile was painted lavender.", "What colour was the car?", "lavender"},
    {"The pastor composes melodies for the zither.", "Which instrument does the clergyman write music for?", "zither"},
    {"The spy's secret word at the gate was periwinkle.", "What password let the agent enter?", "periwinkle"},
    {"Grandmother's ring bore an enormous opal.", "Which precious stone did the old lady wear on her finger?", "opal"},
    {"Okoye of Nairobi triumphed in the marathon.", "Which athlete won the long race?", "Okoye"},
    {"The mountaineers were rescued by a shepherd named Anselm.", "Who saved the climbers?", "Anselm"},
    {"The widow's wages were fourteen shillings a week.", "How much did the bereaved wife earn?", "fourteen shillings"},
    {"Captain Roscoe was imprisoned for smuggling ivory.", "Why was the officer put in jail?", "smuggling ivory"},
    {"The cobbler's hound bit the tax inspector.", "Whom did the shoemaker's dog attack?", "tax inspector"},
    {"The academy awarded its medal to Ilse Brandt for a map of the ocean floor.",
     "For what work was a prize given by the scientific society?", "map of the ocean floor"},
};

constexpr ParaphrasedFact kDevelopmentFacts[kFactsInSet] = {
    {"The chambermaid discovered a forged passport beneath the mattress.",
     "Which false document was found by the servant under the bed?", "forged passport"},
    {"Admiral Kersting detested the odour of tobacco.", "What smell did the naval commander hate?", "tobacco"},
    {"The locomotive halted at Brindley because of a fallen elm.", "Why did the train stop?", "fallen elm"},
    {"The poet Salvo earned his bread as a dentist.", "What was the writer of verse by profession?", "dentist"},
    {"The hermit nourished himself on acorns and honey.", "What did the recluse eat?", "acorns and honey"},
    {"The ambassador forgot his umbrella in the opera house.", "What thing did the diplomat leave behind?", "umbrella"},
    {"The twins' godmother dwells in Ljubljana.", "In which town does the sponsor of the two babies live?",
     "Ljubljana"},
    {"The ploughman unearthed a casket of Roman coins.", "What treasure did the farm worker dig up?", "Roman coins"},
    {"The sculptor carved his masterpiece out of walrus ivory.",
     "From which material did the artist make his finest work?", "walrus ivory"},
    {"The abbot banished the cook for watering the wine.", "What offence got the kitchen servant expelled?",
     "watering the wine"},
    {"The messenger's steed collapsed near Oldcastle.", "Where did the courier's horse fall down?", "Oldcastle"},
    {"The heiress squandered her dowry on orchids.", "On which flowers was the rich girl's marriage portion spent?",
     "orchids"},
    {"The watchman slumbered until the cannon roared.", "What sound woke the guard from sleep?", "cannon"},
    {"The astronomer baptised the comet after his spouse Elvira.", "What is the name of the star gazer's wife?",
     "Elvira"},
    {"The plaintiff demanded seventy guineas for the crippled mule.",
     "How large a sum did the man who sued want for his lame animal?", "seventy guineas"},
    {"The conjuror swallowed a thimble by accident.", "Which object went down the magician's throat?", "thimble"},
    {"The harvest was ruined by locusts.", "Which pests destroyed the crops?", "locusts"},
    {"The governor's portrait hangs upside down in the pantry.", "In which room is the ruler's picture to be seen?",
     "pantry"},
    {"The ferryman charges nothing to left-handed folk.", "Who may cross the river by boat for free?", "left-handed"},
    {"The schoolmistress hails from Tasmania.", "What country is the female teacher from?", "Tasmania"},
    {"The vicar brews nettle ale every autumn.", "What kind of beer does the parson make?", "nettle ale"},
    {"The pilgrims sheltered from the storm in a windmill.", "Where did the travellers hide from bad weather?",
     "windmill"},
    {"The tailor's eldest son enlisted as a trumpeter.",
     "What role did the boy of the man who sewed suits take in the army?", "trumpeter"},
    {"The judge's verdict was scribbled on a napkin.", "On what was the magistrate's ruling written?", "napkin"},
};

constexpr ParaphrasedFact kEvaluationFacts[kFactsInSet] = {
    {"The surgeon of Port Elgin collected antique violins.", "What did the medical man gather as a hobby?",
     "antique violins"},
    {"Lucinda's timid nephew drowned in Lake Morwen.", "Where did the shy boy lose his life in the water?",
     "Lake Morwen"},
    {"The carpenter was born in the village of Szentes.", "What was the native hamlet of the woodworker?", "Szentes"},
    {"The duchess mislaid her spectacles in the conservatory.", "Where did the noblewoman lose her glasses?",
     "conservatory"},
    {"The bakery on Finch Lane closes at a quarter to six.", "When does the shop that sells bread shut?",
     "quarter to six"},
    {"The emperor perished from eating spoiled oysters.", "What killed the ruler?", "spoiled oysters"},
    {"The orphan was adopted by a beekeeper.", "Who took in the child without parents?", "beekeeper"},
    {"Aunt Petronella vacations each summer in Madeira.",
     "On which island does the elderly relation spend her holidays?", "Madeira"},
    {"The thief was recognised by a scar upon his chin.", "How was the robber identified?", "scar upon his chin"},
    {"The painter Vasquez lost his sight at forty.", "At what age did the artist go blind?", "forty"},
    {"The regiment's mascot was a one-eyed goat.", "Which animal accompanied the troops?", "one-eyed goat"},
    {"The grocer's daughter speaks fluent Armenian.", "Which foreign language has the shopkeeper's girl learned?",
     "Armenian"},
    {"The tunnel beneath the river took eleven years to dig.", "How long did the underground passage need to be built?",
     "eleven years"},
    {"The chess champion trembled whenever it thundered.", "What was the master player afraid of?", "thundered"},
    {"The mayor bequeathed his library to the fishermen.", "To whom did the town's leader leave all the books?",
     "fishermen"},
    {"The coachman quarrelled with Jasper about a saddle.", "What was the driver's dispute over?", "saddle"},
    {"The bride's gown was sewn from parachute silk.", "What cloth was used for the wedding dress?", "parachute silk"},
    {"The miller's remedy for a cough was onion syrup.",
     "Which medicine did the man who ground the corn recommend for a cold?", "onion syrup"},
    {"Inspector Hale suspected the organist of the murder.", "Whom did the detective believe to be the killer?",
     "organist"},
    {"The expedition's sledges were hauled by reindeer.", "Which beasts pulled the explorers' sleighs?", "reindeer"},
    {"The convent's bell cracked on Whit Monday.", "On which day did the nuns' chime break?", "Whit Monday"},
    {"The tenor refuses to sing unless he has drunk warm cider.",
     "What beverage must the opera star have before a performance?", "warm cider"},
    {"The barber inherited a vineyard from his uncle.",
     "What property did the hairdresser receive when a kinsman died?", "vineyard"},
    {"The apprentice earned his freedom by forging a silver key.",
     "What did the young worker craft in order to be released?", "silver key"},
};

}  // namespace

absl::Span<const ParaphrasedFact> ParaphrasedFacts(FactSet set) {
  switch (set) {
    case FactSet::kCalibration:
      return kCalibrationFacts;
    case FactSet::kDevelopment:
      return kDevelopmentFacts;
    case FactSet::kEvaluation:
      return kEvaluationFacts;
  }
  return {};
}

}  // namespace tome
