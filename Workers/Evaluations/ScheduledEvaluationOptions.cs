using System.ComponentModel.DataAnnotations;
using AiAspire.ServiceDefaults.Transport;
using AiAspire.Workers.Schedules;

namespace AiAspire.Workers.Evaluations;

/// <summary>Section <c>Evaluations</c>: a suite that the Evaluator runs by the clock. Off unless <see cref="Suite"/> is set.</summary>
public sealed class ScheduledEvaluationOptions : IValidatableObject
{
    public const string Section = "Evaluations";

    /// <summary>The suite, by its file name in the Evaluator's folder of suites, without <c>.yaml</c>. Null: nothing is scheduled.</summary>
    public string? Suite { get; init; }

    /// <summary>Model or alias under test.</summary>
    public string? Model { get; init; }

    /// <summary>What it is compared with; null: the suite's own thresholds alone decide.</summary>
    public string? Baseline { get; init; }

    /// <summary>Repeats of each case; null: as the suite says.</summary>
    [Range(1, 20)]
    public int? Repeats { get; init; }

    /// <summary>When: a Quartz cron expression in UTC. Default: every day at 04:11.</summary>
    [CronExpression]
    public string Cron { get; init; } = "0 11 4 * * ?";

    /// <summary>The Evaluator; <c>http://evaluator</c> is found by service discovery.</summary>
    public string Url { get; init; } = "http://evaluator";

    /// <summary>What the Evaluator asks for (its <c>Evaluator:ApiKey</c>).</summary>
    public string? ApiKey { get; init; }

    /// <summary>Permits a plain http address beyond this machine, when the network itself is encrypted.</summary>
    public bool AllowPlaintext { get; init; }

    /// <summary>Minutes after which a run that has not ended counts as failed. Default 60.</summary>
    [Range(0.01, 24 * 60)]
    public double TimeoutMinutes { get; init; } = 60;

    /// <summary>Seconds between two looks at a running evaluation. Default 5.</summary>
    [Range(0.05, 600)]
    public double PollSeconds { get; init; } = 5;

    public bool Enabled => !string.IsNullOrWhiteSpace(Suite);

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (!Enabled)
            yield break;
        if (string.IsNullOrWhiteSpace(Model))
            yield return new ValidationResult("Evaluations:Suite is set and Evaluations:Model is not: name the model or alias to be evaluated.", [nameof(Model)]);
        if (string.IsNullOrWhiteSpace(ApiKey))
            yield return new ValidationResult("Evaluations:Suite is set and Evaluations:ApiKey is not: set it to the Evaluator's own key.", [nameof(ApiKey)]);
        if (!Uri.TryCreate(Url, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https"))
            yield return new ValidationResult($"Evaluations:Url is '{Url}', which is no http or https address.", [nameof(Url)]);
    }

    /// <summary>The key must not cross a network in the clear.</summary>
    /// <exception cref="ValidationException">It would.</exception>
    public void ThrowIfPlaintext(IConfiguration configuration)
    {
        if (Enabled && !AllowPlaintext && PlaintextRule.Breaks(new Uri(Url), configuration))
            throw new ValidationException($"Evaluations:Url is {Url}, another machine without TLS: use https, or set Evaluations:AllowPlaintext=true when the network itself is encrypted.");
    }
}
