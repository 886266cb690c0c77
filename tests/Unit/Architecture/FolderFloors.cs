namespace AiAspire.Unit.Architecture;

/// <summary>The floors of Core: a folder may use those beneath it, and on its own floor only what is listed with a reason.</summary>
internal sealed class FolderFloors(string root)
{
    /// <summary>From the ground up.</summary>
    private static readonly string[][] Floors =
    [
        ["Data"],
        ["Tenancy", "Audit", "Encryption", "Notifications"],
        ["Wire", "Models"],
        ["Providers", "Ledger", "Jobs", "Schedules", "Files"],
        ["Routing", "Limits", "Idempotency", "Caching", "Moderation", "Privacy", "Prompts", "Conversations", "Knowledge", "Rollouts", "Evaluation"],
        ["Chat"],
        ["Incidents", "Readiness", "Analytics", "Batches"],
    ];

    private static readonly Dictionary<(string From, string To), string> SameFloor = new()
    {
        [("Encryption", "Audit")] = "what is done to keys is written in the audit log",
        [("Notifications", "Encryption")] = "the signing keys of webhooks are kept encrypted",
        [("Wire", "Models")] = "a call carries the targets, prices and token usage of its attempts",
        [("Limits", "Rollouts")] = "a budget that is used up engages a kill switch",
    };

    public static IEnumerable<string> Known => Floors.SelectMany(f => f);

    public static IEnumerable<(string From, string To)> Listed => SameFloor.Keys;

    public static int FloorOf(string folder) => Array.FindIndex(Floors, f => f.Contains(folder, StringComparer.Ordinal));

    /// <summary>The folder of a namespace beneath the root; empty for the root itself, null outside.</summary>
    public string? FolderOf(string space)
        => space == root ? ""
            : space.StartsWith(root + ".", StringComparison.Ordinal) ? space[(root.Length + 1)..].Split('.')[0]
            : null;

    public IEnumerable<string> Faults(IEnumerable<TypeArrow> arrows)
    {
        foreach (var arrow in arrows)
        {
            if (FolderOf(arrow.FromNamespace) is not { } from || FolderOf(arrow.ToNamespace) is not { } to || from == to)
                continue;
            if (FloorOf(from) < 0 || FloorOf(to) < 0)
                yield return $"{arrow}: the folder '{(FloorOf(from) < 0 ? from : to)}' has no floor; give it one in {nameof(FolderFloors)}.";
            else if (FloorOf(to) > FloorOf(from))
                yield return $"{arrow}: {from} lies beneath {to}.";
            else if (FloorOf(to) == FloorOf(from) && !SameFloor.ContainsKey((from, to)))
                yield return $"{arrow}: {from} and {to} are on one floor, and the arrow is not listed.";
        }
    }
}
