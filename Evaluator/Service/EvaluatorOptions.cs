using System.ComponentModel.DataAnnotations;
using AiAspire.ServiceDefaults.Transport;
using Microsoft.Extensions.Options;

namespace AiAspire.Evaluator.Service;

/// <summary>Section <c>Evaluator</c> of the configuration.</summary>
internal sealed class EvaluatorOptions
{
    public const string Section = "Evaluator";

    /// <summary>What callers of this service present, and what this service presents to the application. No default.</summary>
    [Required(ErrorMessage = "Evaluator:ApiKey is missing. Set it, for example by the environment variable Evaluator__ApiKey.")]
    public string ApiKey { get; set; } = string.Empty;

    /// <summary>The application; <c>http://api</c> is found by service discovery.</summary>
    [Required]
    public string TargetUrl { get; set; } = "http://api";

    /// <summary>Permits a plain http address beyond this machine, when the network itself is encrypted.</summary>
    public bool AllowPlaintext { get; set; }

    /// <summary>Where results are kept, one file per evaluation.</summary>
    [Required]
    public string DataPath { get; set; } = Path.Combine(".aiaspire", "evaluations");

    /// <summary>Where the suites are. Default: the folder <c>evals</c> here or above.</summary>
    public string? SuitesPath { get; set; }

    /// <summary>Evaluations that may wait; more are refused with 429. Default 16.</summary>
    [Range(1, 1000)]
    public int MaxQueued { get; set; } = 16;

    /// <summary>Calls under way at once. Default 4.</summary>
    [Range(1, 64)]
    public int Parallelism { get; set; } = 4;
}

/// <summary>The key and the answers must not cross a network in the clear.</summary>
internal sealed class TargetTransport(IConfiguration configuration) : IValidateOptions<EvaluatorOptions>
{
    public ValidateOptionsResult Validate(string? name, EvaluatorOptions options)
        => !options.AllowPlaintext && Uri.TryCreate(options.TargetUrl, UriKind.Absolute, out var target) && PlaintextRule.Breaks(target, configuration)
            ? ValidateOptionsResult.Fail($"Evaluator:TargetUrl is {target}, another machine without TLS: use https, or set Evaluator:AllowPlaintext=true when the network itself is encrypted.")
            : ValidateOptionsResult.Success;
}
