using System.ComponentModel.DataAnnotations;

namespace AiAspire.Simulator;

/// <summary>Section <c>Simulator</c>. Behaviours per model stand beside it, see <see cref="Behaviours.BehaviourBook"/>.</summary>
public sealed class SimulatorOptions
{
    public const string Section = "Simulator";

    /// <summary>Whose wire is spoken and whose models are served: <c>openai</c> or <c>anthropic</c>.</summary>
    [RegularExpression("^(openai|anthropic)$", ErrorMessage = "Simulator:Company must be 'openai' or 'anthropic'.")]
    public string Company { get; set; } = "openai";

    /// <summary>Folder with scripted rules (<c>*.json</c>, read in the order of their names); relative paths start beside the assembly.</summary>
    [Required]
    public string RulesPath { get; set; } = "rules";

    /// <summary>When set, every <c>/control</c> request must carry it in <c>x-control-key</c>.</summary>
    public string? ControlKey { get; set; }

    /// <summary>Keep raw requests for <c>GET /control/received</c>. Off in benchmarks.</summary>
    public bool RecordReceived { get; set; } = true;

    [Range(1, 10_000_000)]
    public int ReceivedCapacity { get; set; } = 20_000;

    [Range(1, int.MaxValue)]
    public long ReceivedMaxBytes { get; set; } = 64L * 1024 * 1024;

    /// <summary>Bill lines kept; older ones are dropped and counted.</summary>
    [Range(1, 10_000_000)]
    public int BillCapacity { get; set; } = 200_000;

    /// <summary>Largest request body, in bytes; above it the answer is 413.</summary>
    [Range(1, int.MaxValue)]
    public long MaxBodyBytes { get; set; } = 32L * 1024 * 1024;
}
