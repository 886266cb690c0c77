using Mono.Cecil;
using Mono.Cecil.Cil;

namespace AiAspire.Unit.Architecture;

/// <summary>One type names another, in a declaration or in the body of a method. Nested and generated types count as their outermost one.</summary>
internal sealed record TypeArrow(string FromNamespace, string From, string ToNamespace, string To)
{
    public override string ToString() => $"{FromNamespace}.{From} → {ToNamespace}.{To}";
}

/// <summary>A method or field of a type is used by another type.</summary>
internal sealed record MemberUse(string FromNamespace, string From, string DeclaringType, string Member);

/// <summary>
/// Reads who uses whom from a compiled assembly. Constants and <c>nameof</c> leave no trace in it: the compiler writes their values.
/// </summary>
internal sealed class TypeArrows
{
    private readonly HashSet<TypeArrow> _arrows = [];
    private readonly HashSet<MemberUse> _members = [];
    private TypeReference _from = null!;

    private TypeArrows()
    {
    }

    public IReadOnlyCollection<TypeArrow> Arrows => _arrows;

    public IReadOnlyCollection<MemberUse> Members => _members;

    public static TypeArrows Read(System.Reflection.Assembly assembly)
    {
        var found = new TypeArrows();
        using var module = ModuleDefinition.ReadModule(assembly.Location);
        foreach (var type in module.GetTypes())
            found.ReadType(type);
        return found;
    }

    private static TypeReference Outermost(TypeReference type)
    {
        while (type.DeclaringType is { } outer)
            type = outer;
        return type;
    }

    private void ReadType(TypeDefinition type)
    {
        _from = Outermost(type);
        Use(type.BaseType);
        foreach (var implemented in type.Interfaces)
            Use(implemented.InterfaceType);
        Use(type.CustomAttributes);
        Use(type.GenericParameters);
        foreach (var field in type.Fields)
        {
            Use(field.FieldType);
            Use(field.CustomAttributes);
        }

        foreach (var property in type.Properties)
            Use(property.CustomAttributes);
        foreach (var method in type.Methods)
            ReadMethod(method);
    }

    private void ReadMethod(MethodDefinition method)
    {
        Use(method.ReturnType);
        Use(method.CustomAttributes);
        Use(method.GenericParameters);
        foreach (var parameter in method.Parameters)
        {
            Use(parameter.ParameterType);
            Use(parameter.CustomAttributes);
        }

        if (!method.HasBody)
            return;
        foreach (var variable in method.Body.Variables)
            Use(variable.VariableType);
        foreach (var handler in method.Body.ExceptionHandlers)
            Use(handler.CatchType);
        foreach (var instruction in method.Body.Instructions)
            ReadOperand(instruction);
    }

    private void ReadOperand(Instruction instruction)
    {
        switch (instruction.Operand)
        {
            case TypeReference type:
                Use(type);
                break;
            case MethodReference method:
                Use(method.DeclaringType);
                Use(method.ReturnType);
                foreach (var parameter in method.Parameters)
                    Use(parameter.ParameterType);
                if (method is GenericInstanceMethod generic)
                {
                    foreach (var argument in generic.GenericArguments)
                        Use(argument);
                }

                _members.Add(new MemberUse(_from.Namespace, _from.Name, method.DeclaringType.FullName, method.Name));
                break;
            case FieldReference field:
                Use(field.DeclaringType);
                Use(field.FieldType);
                _members.Add(new MemberUse(_from.Namespace, _from.Name, field.DeclaringType.FullName, field.Name));
                break;
        }
    }

    private void Use(IEnumerable<CustomAttribute> attributes)
    {
        foreach (var attribute in attributes)
        {
            Use(attribute.AttributeType);
            foreach (var argument in attribute.ConstructorArguments.Concat(attribute.Properties.Select(p => p.Argument)))
                Use(argument.Value as TypeReference);
        }
    }

    private void Use(IEnumerable<GenericParameter> parameters)
    {
        foreach (var constraint in parameters.SelectMany(p => p.Constraints))
            Use(constraint.ConstraintType);
    }

    private void Use(TypeReference? type)
    {
        switch (type)
        {
            case null or GenericParameter:
                return;
            case FunctionPointerType pointer:
                Use(pointer.ReturnType);
                foreach (var parameter in pointer.Parameters)
                    Use(parameter.ParameterType);
                return;
            case GenericInstanceType generic:
                foreach (var argument in generic.GenericArguments)
                    Use(argument);
                break;
        }

        if (type is TypeSpecification specification)
        {
            if (type is IModifierType modifier)
                Use(modifier.ModifierType);
            Use(specification.ElementType);
            return;
        }

        var to = Outermost(type);
        if (to.FullName != _from.FullName)
            _arrows.Add(new TypeArrow(_from.Namespace, _from.Name, to.Namespace, to.Name));
    }
}
