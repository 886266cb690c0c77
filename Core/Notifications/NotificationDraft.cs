using System.Text.Json.Nodes;

namespace AiAspire.Core.Notifications;

/// <summary>What can be told, as the recipients choose it.</summary>
public static class NotificationTopics
{
    /// <summary>A budget has reached its soft limit.</summary>
    public const string Budget = "budget";

    /// <summary>A hard limit or a breaker switched something off.</summary>
    public const string Limit = "limit";

    /// <summary>Cost, errors or quality out of the ordinary.</summary>
    public const string Incident = "incident";

    /// <summary>A rollout advanced, was blocked or rolled back.</summary>
    public const string Rollout = "rollout";

    /// <summary>Content was reported or blocked.</summary>
    public const string Moderation = "moderation";

    /// <summary>A key of ours is due for rotation.</summary>
    public const string Keys = "keys";

    /// <summary>A user's job succeeded. This and the other ends of jobs are told to webhooks alone, and only to those that name the topic.</summary>
    public const string JobCompleted = "job.completed";

    /// <summary>A job was given up.</summary>
    public const string JobFailed = "job.failed";

    /// <summary>A job was cancelled.</summary>
    public const string JobCancelled = "job.cancelled";

    /// <summary>A user's batch ran to its end. Told like the ends of jobs.</summary>
    public const string BatchCompleted = "batch.completed";

    /// <summary>A batch could not begin.</summary>
    public const string BatchFailed = "batch.failed";

    /// <summary>A batch's time was over before it was done.</summary>
    public const string BatchExpired = "batch.expired";

    /// <summary>A batch was cancelled.</summary>
    public const string BatchCancelled = "batch.cancelled";

    /// <summary>Sent on request, to try the settings.</summary>
    public const string Test = "test";

    public static IReadOnlyList<string> All { get; } = [Budget, Limit, Incident, Rollout, Moderation, Keys, Test];

    /// <summary>What a webhook can ask for.</summary>
    public static IReadOnlyList<string> OfWebhooks { get; } = [.. All, JobCompleted, JobFailed, JobCancelled, BatchCompleted, BatchFailed, BatchExpired, BatchCancelled];
}

/// <summary>What is to be told to the recipients of the session's tenant.</summary>
/// <param name="DedupKey">
/// Names the event within the tenant, such as <c>budget:{id}:{window}:soft</c>: however often and from however many replicas it is
/// sent, it is told once.
/// </param>
/// <param name="Topic">One of <see cref="NotificationTopics"/>; on the wire <c>type</c>.</param>
/// <param name="Subject">One line.</param>
/// <param name="Text">For people. Like <paramref name="Subject"/>, no words of end users: it leaves the house.</param>
public sealed record NotificationDraft(string DedupKey, string Topic, string Subject, string Text)
{
    /// <summary>Particulars for programs: ids, names of features, figures.</summary>
    public JsonObject? Data { get; init; }

    /// <summary>Also tells whoever is on call. Only in the platform's scope.</summary>
    public bool Page { get; init; }
}
