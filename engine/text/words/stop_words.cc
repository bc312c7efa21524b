#include "engine/text/words/stop_words.h"

namespace tome {

const std::vector<StopWordList>& StopWordLists() {
  using enum Language;
  constexpr WritingScript kLatin = WritingScript::kLatin, kCyrillic = WritingScript::kCyrillic;
  constexpr WritingScript kArab = WritingScript::kArabic, kDevanagari = WritingScript::kDevanagari;
  constexpr WritingScript kHebrew = WritingScript::kHebrew;
  static const auto* const lists = new std::vector<StopWordList>{
      {kLatin, kEnglish,
       "the of and to in is was for that it with as his on be by he at which from had are not this have who "
       "were what where when how does did you they she their but or an all there would"},
      {kLatin, kFrench,
       "le la les des du de et un une est dans que qui pour pas sur au aux par plus avec ce cette il elle nous "
       "vous ne se son sa ses mais ou sont ont été où quel quelle comment quand qu leur ils tous"},
      {kLatin, kGerman,
       "der die das und ist nicht ein eine einen einem einer mit von zu den dem des im auf für sich als auch es "
       "wird sind war wie was wo wer wann bei oder aus nach ich sie er wir ihr dass durch über zum zur"},
      {kLatin, kSpanish,
       "el la los las de que en un una es no se por con para su al lo como más pero sus le del fue son está era "
       "ser qué cuál dónde cómo cuándo quién ha muy también sobre entre"},
      {kLatin, kPortuguese,
       "os as de que do da em um uma para com não se na no dos das por mais ao foi são ele ela seu sua ou mas "
       "como qual onde quando quem está ser pelo pela aos às nos nas"},
      {kLatin, kItalian,
       "il lo la gli le di che un una non per in del della dei delle con si da nel nella al alla sono come ma "
       "più dove quando chi quale era anche questo sul dal dalla ha cosa"},
      {kLatin, kCatalan,
       "el la els les de que en un una és no es per amb als al del dels com més però seu seva on qui què quan "
       "aquest aquesta són va ha fou ser també pel"},
      {kLatin, kDutch,
       "de het een en van is in dat op te niet met voor zijn aan er om die hij zij ook als was maar bij wordt "
       "door naar uit wat waar wie wanneer hoe deze dit werd nog heeft"},
      {kLatin, kSwedish,
       "och att det som en är av för på med den till inte ett om har var de han hon vi ej från men sig kan när "
       "hur vad vem eller efter också"},
      {kLatin, kDanish,
       "og at det som en er af for på med den til ikke et om har var de han hun vi fra men sig kan når hvor "
       "hvad hvem eller efter også blev meget"},
      {kLatin, kNorwegian,
       "og at det som en er av for på med den til ikke et om har var de han hun vi fra men seg kan når hvor hva "
       "hvem eller etter også ble meget jeg"},
      {kLatin, kFinnish,
       "ja on ei että se oli hän mutta kun niin myös ovat joka tai jos mitä missä milloin kuka sen ole olla "
       "sekä kuin vain mikä jotka tämä siitä"},
      {kLatin, kHungarian,
       "az és hogy nem egy is ez van volt meg de csak mint ki be el már még mi hol mikor vagy volna amely azt "
       "ezt ha nagy kell"},
      {kLatin, kTurkish,
       "ve bir bu da de için ile çok ne mi daha olarak gibi kadar var değil nerede hangi nasıl kim en sonra "
       "olan ama ise idi her ya"},
      {kLatin, kRomanian,
       "și în de la cu pe din care este un nu se mai că pentru sunt al ale lui sa fost dar sau unde când cine "
       "prin după fi ce le"},
      {kLatin, kIndonesian,
       "yang dan di ke dari untuk dengan pada ini itu tidak adalah dalam akan oleh atau juga karena sebagai ada "
       "mereka bahwa saya telah apa mana kapan siapa bagaimana"},
      {kLatin, kIrish,
       "an na agus ar is go ag le do sé sí níl tá bhí seo sin nach mar ach gur cad cá cathain aige air faoi"},
      {kLatin, kLithuanian,
       "ir yra kad su iš ne tai kaip buvo apie bet už nuo jo jos arba kur kas kada jis ji per prie taip dar "
       "labai"},
      {kLatin, kBasque,
       "eta da ez bat du zen dira egin baina den edo izan dute zuen hau ere non nor noiz zer bere hori baino"},
      {kLatin, kSerbian,
       "je na se da od za su nije koji koja koje kao ali bio bila gde gdje kada tko ko što sa iz ne to ili"},
      // Without stemmers: Polish, Czech and Slovak, Vietnamese, Latvian, Estonian, Icelandic, Albanian, Swahili,
      // Tagalog, Afrikaans, Latin.
      {kLatin, kPlain,
       "na nie się jest do że to jak ale po co był przez oraz gdzie kiedy kto dla od przy tym są być jego tylko "
       "pod oni ich lub tego"},
      {kLatin, kPlain,
       "se na je že do jsem byl jako ale pro po jeho nebo kde kdy kdo co jsou také podle který sa nie ako bol "
       "alebo kto čo sú"},
      {kLatin, kPlain,
       "là của và các có được cho trong một không với người này những để đã khi từ về cũng như đến ra nào đâu "
       "ai gì"},
      {kLatin, kPlain, "un ir ar no par ka bija kas vai tas kur kad pie pēc arī bet nav viņš viņa to"},
      {kLatin, kPlain, "ja on ei et see oli ta kui mis ka või kes kus millal oma aga ning pole nii siis"},
      {kLatin, kPlain, "og að er sem var við ekki það fyrir með en um til hann hún hvar hver hvenær eða"},
      {kLatin, kPlain, "dhe në të një për me nga që është ku kush kur nuk si ka por më"},
      {kLatin, kPlain, "na ya wa kwa ni katika za la cha hii kuwa yake lakini nani wapi lini kama hiyo huo"},
      {kLatin, kPlain, "ang ng sa na mga ay at hindi ito siya ni para kung saan sino kailan may niya nang"},
      {kLatin, kPlain, "die en van is het nie dat met vir was hy op wat sy ook waar wie een sal deur"},
      {kLatin, kPlain, "et in est non ad ut cum quod qui sed ex ab per sunt esse atque enim quae erat"},
      {kCyrillic, kRussian,
       "не на что он как это по но из за от его для был так то она же они где когда кто была при или также "
       "который было её"},
      {kCyrillic, kSerbian,
       "је на се да од за су није који која које као али био била где када ко шта са из не то или она треба "
       "према"},
      // Ukrainian, Bulgarian and Macedonian, Belarusian, Kazakh, Mongolian.
      {kCyrillic, kPlain, "не на що як це до та за від про але був його для він вона вони коли де хто або також який"},
      {kCyrillic, kPlain,
       "на се да от за не са че по като но той тя това къде кога кой или беше със което през ќе го кој каде"},
      {kCyrillic, kPlain, "не на што як гэта да яго але быў ён яна дзе калі хто або для якi якія"},
      {kCyrillic, kPlain, "және мен бұл да де бір үшін болып деп бар жоқ қайда кім қашан оның"},
      {kCyrillic, kPlain, "нь бол байна энэ юм ба тэр хаана хэн хэзээ байсан өөр"},
      {kArab, kArabic,
       "في من على إلى أن هذا هذه التي الذي عن كان كانت ما لا هو هي مع أو لم قد ذلك بين بعد كل أين متى ثم"},
      // Persian, Urdu.
      {kArab, kPlain, "در از به که این را با است آن برای یک تا هم بود شد می های خود چه کجا کی شده"},
      {kArab, kPlain, "کے کی میں ہے اور سے کا کو پر نے یہ ہیں اس کہ بھی تھا تھی کہاں کون جو نہیں وہ"},
      {kDevanagari, kHindi, "है के में की और का से को हैं पर यह ने एक कि नहीं भी था इस लिए कहाँ कौन कब जो थे थी या हो"},
      {kDevanagari, kNepali, "को मा ले लाई छन् यो हो का पनि भएको थियो गरेको कहाँ हुन् गर्न तथा"},
      // Marathi, Sanskrit.
      {kDevanagari, kPlain, "आहे आणि च्या या ते तो ही हे मध्ये होते होता नाही कुठे कोण त्या म्हणून"},
      {kDevanagari, kPlain, "तु हि एव इति तत् यत् सः अपि वा अस्ति"},
      {kHebrew, kYiddish, "איז די דער פון און צו אין דאָס מיט אַז ניט האָט אויף געווען ווי וואָס זיך"},
      // Hebrew.
      {kHebrew, kPlain, "של את על הוא לא זה עם היא גם או כי אל אשר היה מה איפה מתי מי כל בין אבל"},
  };
  return *lists;
}

}  // namespace tome
