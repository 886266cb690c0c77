using System.Text.RegularExpressions;

namespace AiAspire.Simulator.OpenAi;

/// <param name="Value">From 0 to 1; flagged from 0.5 on.</param>
/// <param name="LooksAtImages">The category is one that the real model applies to images as well.</param>
internal sealed record ModerationScore(string Category, double Value, bool LooksAtImages)
{
    public bool Flagged => Value >= 0.5;
}

/// <summary>Word lists in place of a model: the first listed word or phrase flags a category, further ones raise its score.</summary>
internal static class ModerationWords
{
    private static readonly (string Category, bool LooksAtImages, Regex Words)[] Categories =
    [
        ("harassment", false, Any("idiot", "moron", "loser", "you are stupid", "shut up", "worthless")),
        ("harassment/threatening", false, Any("i will hurt you", "i will find you", "i will kill you", "you will regret this", "watch your back")),
        ("hate", false, Any("subhuman", "inferior race", "hate all immigrants", "hate those people", "vermin people")),
        ("hate/threatening", false, Any("exterminate them", "wipe them out", "kill all of them")),
        ("illicit", false, Any("cook meth", "buy drugs", "counterfeit money", "pick a lock", "steal a car", "launder money")),
        ("illicit/violent", false, Any("build a bomb", "make a bomb", "pipe bomb", "make a weapon", "3d print a gun")),
        ("self-harm", true, Any("suicide", "kill myself", "self-harm", "cut myself", "end my life")),
        ("self-harm/intent", true, Any("i want to die", "i will kill myself", "kill myself", "end my life", "i want to hurt myself")),
        ("self-harm/instructions", true, Any("how to kill myself", "best way to commit suicide", "how to hurt myself")),
        ("sexual", true, Any("porn", "explicit sex", "nude photos", "erotic story")),
        ("sexual/minors", false, Any("child porn", "sexual minor", "underage sex")),
        ("violence", true, Any("kill you", "murder", "stab", "shoot him", "shoot her", "shoot them", "beat you up", "massacre")),
        ("violence/graphic", true, Any("gore", "dismember", "decapitate", "blood everywhere", "severed")),
    ];

    public static ModerationScore[] Score(string text)
    {
        var scores = new ModerationScore[Categories.Length];
        for (var i = 0; i < scores.Length; i++)
        {
            var (category, images, words) = Categories[i];
            var hits = words.Count(text);
            // Clean text has small scores that differ, as a real model's do.
            var value = hits > 0 ? 1 - (0.1 / hits) : 1e-5 + (1e-3 * StableHash.Unit(StableHash.Of(text, (ulong)i)));
            scores[i] = new ModerationScore(category, Math.Round(value, 8), images);
        }

        return scores;
    }

    private static Regex Any(params string[] words)
        => new($"\\b(?:{string.Join('|', words.Select(Regex.Escape))})(?:s|ed|ing)?\\b",
            RegexOptions.NonBacktracking | RegexOptions.IgnoreCase | RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1));
}
