using System.ComponentModel.DataAnnotations;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace AiAspire.ServiceDefaults;

/// <summary>Settings that cannot be used are told to whoever wrote them, in sentences; the host itself would show a stack trace.</summary>
public static partial class SettingsExtensions
{
    /// <summary>Builds the application and looks at its settings; the server itself asks for some of them as it is built.</summary>
    /// <param name="builder">The builder.</param>
    /// <param name="register">Registrations that ask for settings themselves.</param>
    /// <param name="errors">Where to say what is wrong; null: standard error.</param>
    /// <returns>Null after it has said what is wrong: the process should end.</returns>
    public static WebApplication? BuildWithUsableSettings(this WebApplicationBuilder builder, Action? register = null, TextWriter? errors = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        WebApplication? app = null;
        return AreUsable(Build, errors ?? Console.Error) ? app : null;

        void Build()
        {
            register?.Invoke();
            Validate(app = builder.Build());
        }
    }

    /// <summary>A section that a registration depends on, under the rules of validated options: no unknown key, and every annotation holds.</summary>
    /// <param name="configuration">The configuration.</param>
    /// <param name="section">The section; its defaults when it is not there.</param>
    /// <exception cref="OptionsValidationException">A value is not as it must be; a sentence for each.</exception>
    /// <exception cref="InvalidOperationException">A key is unknown, or a value is of another type.</exception>
    public static T GetValid<T>(this IConfiguration configuration, string section)
        where T : class, new()
    {
        ArgumentNullException.ThrowIfNull(configuration);
        var options = configuration.GetSection(section).Get<T>(static binder => binder.ErrorOnUnknownConfiguration = true) ?? new T();
        var faults = new List<ValidationResult>();
        return Validator.TryValidateObject(options, new ValidationContext(options), faults, validateAllProperties: true)
            ? options
            : throw new OptionsValidationException(section, typeof(T), faults.Select(f => Named(section, f.ErrorMessage!)));
    }

    /// <summary>Looks at every validated option before anything starts.</summary>
    /// <param name="host">The host.</param>
    /// <param name="errors">Where to say what is wrong; null: standard error.</param>
    /// <returns>False after it has said so: the process should end.</returns>
    public static bool HasUsableSettings(this IHost host, TextWriter? errors = null)
    {
        ArgumentNullException.ThrowIfNull(host);
        return AreUsable(() => Validate(host), errors ?? Console.Error);
    }

    private static void Validate(IHost host) => host.Services.GetService<IStartupValidator>()?.Validate();

    private static bool AreUsable(Action ask, TextWriter errors)
    {
        try
        {
            ask();
            return true;
        }
        catch (Exception e) when (FaultsIn(e) is { Count: > 0 } faults)
        {
            errors.WriteLine($"The settings are not usable:\n  {string.Join("\n  ", faults)}");
            return false;
        }
    }

    // Binding tells of an unknown key with an InvalidOperationException; several options at fault come together in one exception.
    private static List<string> FaultsIn(Exception exception) => exception switch
    {
        AggregateException all => [.. all.InnerExceptions.SelectMany(FaultsIn)],
        OptionsValidationException invalid => [.. invalid.Failures],
        ValidationException invalid => [invalid.Message],
        InvalidOperationException { Source: "Microsoft.Extensions.Configuration.Binder" } unbound => [Told(unbound.Message)],
        _ => [],
    };

    private static string Named(string section, string fault) => fault.StartsWith($"{section}:", StringComparison.Ordinal) ? fault : $"{section}: {fault}";

    private static string Told(string message) => UnknownKeys().Match(message) is { Success: true } unknown
        ? $"There is no setting {unknown.Groups["keys"].Value} among {unknown.Groups["type"].Value}: it is misspelt, or of another version."
        : message;

    // The binder speaks of its own options. Where it says something else, its words are passed on.
    [GeneratedRegex(@"^'ErrorOnUnknownConfiguration' was set .* on the instance of (?:[\w`]+[.+])*(?<type>[\w`]+): (?<keys>.+)$", RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex UnknownKeys();
}
